import { withoutUndefined } from "../../os/without-undefined.ts";
import type { Enumeration } from "../../machines/enumeration/enumeration.ts";
import type { Activity } from "./activity.ts";

/**
 * `ready`: free for a task; `pending`: to be bootstrapped next; `building`, `bootstrapping`; `suspended`: by this
 * instance; `held`: by another instance that bootstraps it, has suspended it, or does not say.
 */
export const machineStates = ["ready", "pending", "bootstrapping", "building", "suspended", "held"] as const;

export type MachineState = (typeof machineStates)[number];

/** A machine as the agent saw it last. */
export interface SeenMachine {
  name: string;
  volume: string;
  /** Which copy of it, if not the first. */
  copy?: number;
  state: MachineState;
  /** Process that holds it, if that is another one and says so. */
  holder?: number;
  /** Priority of the task that the other one performs. */
  priority?: number;
}

/** The machines as of the last look through them, and what this instance has begun to do with one since. */
export class MachineView {
  #seen: readonly SeenMachine[] = [];
  #enumerated: Date | undefined;

  /** When the machines were looked through. */
  get enumerated(): Date | undefined {
    return this.#enumerated;
  }

  take({ machines, pending }: Enumeration): void {
    this.#enumerated = new Date();
    const seen: SeenMachine[] = machines.map((machine) => {
      const { name, volume, copy } = machine.paths;
      const which = { name, volume, ...(copy === 1 ? {} : { copy }) };
      if (machine.state === "locked") return { ...which, state: "ready" };
      const { pid: holder, priority } = machine.holder;
      return {
        ...which,
        state: priority === undefined ? "held" : "building",
        ...withoutUndefined({ holder, priority }),
      };
    });
    if (pending) seen.push({ name: pending.paths.name, volume: pending.paths.volume, state: "pending" });
    this.#seen = seen;
  }

  list(activity: Activity): SeenMachine[] {
    const own = ownState(activity);
    if (own === undefined) return [...this.#seen];
    // Of its copies, the one that was free; else one that somebody else had to give up.
    const copies = this.#seen.filter(({ name }) => name === activity.machine);
    const used = copies.find(({ holder, state }) => holder === undefined && state !== "held") ?? copies[0];
    return this.#seen.map((machine) => (machine === used ? { ...machine, state: own } : machine));
  }

  count(activity: Activity): Record<MachineState, number> {
    const count = Object.fromEntries(machineStates.map((state) => [state, 0])) as Record<
      MachineState,
      number
    >;
    for (const { state } of this.list(activity)) count[state]++;
    return count;
  }
}

/** What the machine is used for by this instance, while it holds the machine's lock. */
function ownState({ phase, task }: Activity): MachineState | undefined {
  switch (phase) {
    case "booting":
      return task === undefined ? "bootstrapping" : "building";
    case "bootstrapping":
    case "building":
    case "suspended":
      return phase;
    case "saving":
      return "bootstrapping";
    case "extracting":
      return "building";
    default:
      return undefined;
  }
}
