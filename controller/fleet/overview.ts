/** What the farm does, summed up: by target, by machine, and what is given out next. */
import type { Build } from "../builds/build.ts";
import { matchesPattern } from "../builds/name-pattern.ts";
import type { Target } from "../builds/specification.ts";
import { alongIndex } from "../database/along-index.ts";
import type { Database } from "../database/database.ts";
import type { Agents, AgentState, KnownAgent } from "./agents.ts";
import type { Pause, Pauses } from "./pauses.ts";

/** A target and its queues. */
export interface TargetState {
  name: string;
  /** Undefined: it is not configured any more. */
  target: Target | undefined;
  queued: number;
  building: number;
  finished: number;
  cancelled: number;
  /** Of its builds that wait, the one that was submitted first. */
  oldest: { id: number; queuedAt: Date } | undefined;
  pause: Pause | undefined;
  /** How many agents wait that have its machine and toolchain, and are not paused. */
  idleAgents: number;
}

/** A machine by the name that agents offer it by; several hosts may have one of that name. */
interface MachineState {
  name: string;
  agents: { agent: string; state: AgentState; toolchain: string }[];
}

interface Row {
  target: string;
  queued: number;
  building: number;
  finished: number;
  cancelled: number;
  id: number | null;
  queued_at: Date | null;
}

export class Overview {
  readonly #database: Database;
  readonly #configured: readonly Target[];
  readonly #agents: Pick<Agents, "list">;
  readonly #pauses: Pick<Pauses, "list" | "ofTarget">;

  constructor(
    database: Database,
    targets: readonly Target[],
    agents: Pick<Agents, "list">,
    pauses: Pick<Pauses, "list" | "ofTarget">,
  ) {
    this.#database = database;
    this.#configured = targets;
    this.#agents = agents;
    this.#pauses = pauses;
  }

  /**
   * Targets that are configured, in that order, then others of which there are builds.
   *
   * @param agents if they have been looked at already
   */
  async targets(withPrivate = true, agents?: readonly KnownAgent[]): Promise<TargetState[]> {
    const rows = new Map((await targetRows(this.#database, withPrivate)).map((row) => [row.target, row]));
    const paused = (await this.#pauses.list()).filter(({ kind }) => kind === "agent").map(({ name }) => name);
    const idle = (agents ?? (await this.#agents.list(withPrivate))).filter(
      ({ name, waits }) => waits && !paused.includes(name),
    );
    const names = new Set([...this.#configured.map(({ name }) => name), ...rows.keys()]);
    const states: TargetState[] = [];
    for (const name of names) {
      const target = this.#configured.find((one) => one.name === name);
      const { id = null, queued_at = null, ...counts } = rows.get(name) ?? noBuilds;
      states.push({
        ...{ name, target, ...countsIn(counts) },
        oldest: id === null || queued_at === null ? undefined : { id, queuedAt: queued_at },
        pause: await this.#pauses.ofTarget(name),
        idleAgents: target ? idle.filter((agent) => canBuild(agent, target)).length : 0,
      });
    }
    return states;
  }

  /** All machines that agents have offered, or build with, by name. */
  async machines(withPrivate = true, agents?: readonly KnownAgent[]): Promise<MachineState[]> {
    const machines = new Map<string, MachineState>();
    const machineNamed = (name: string) => {
      const known = machines.get(name) ?? { name, agents: [] };
      machines.set(name, known);
      return known;
    };
    for (const { name: agent, state, offer, builds } of agents ?? (await this.#agents.list(withPrivate))) {
      const held = new Set(builds.map(({ machine }) => machine));
      for (const { machine, toolchain } of builds)
        machineNamed(machine).agents.push({ agent, state: "building", toolchain });
      for (const machine of offer.machines)
        if (!held.has(machine))
          machineNamed(machine).agents.push({
            ...{ agent, toolchain: offer.toolchain },
            state: state === "silent" ? "silent" : "idle",
          });
    }
    return [...machines.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  /** The first builds that wait, by priority; of each target in the order in which they are given out. */
  async next(most: number, withPrivate = true): Promise<Build[]> {
    return await this.#database.query<Build>(
      `select b.* from croft.queues q cross join lateral (
         select * from croft.builds where queue = q.name and state = 'queued' and ($2 or not is_private)
         order by queue_priority desc, rank, id limit $1
       ) as b where q.queued > 0 order by b.queue_priority desc, b.rank, b.id limit $1`,
      [most, withPrivate],
    );
  }
}

const noBuilds = { target: "", queued: 0, building: 0, finished: 0, cancelled: 0, id: null, queued_at: null };

function countsIn({ queued, building, finished, cancelled }: Omit<Row, "id" | "queued_at">) {
  return { queued, building, finished, cancelled };
}

async function targetRows(database: Database, withPrivate: boolean): Promise<Row[]> {
  const waiting = alongIndex({ target: "summed.target", state: "'queued'" });
  return await database.query<Row>(
    `select summed.*, oldest.id, oldest.queued_at from (
       select target, sum(queued)::integer as queued, sum(running)::integer as building,
         sum(finished)::integer as finished, sum(cancelled)::integer as cancelled
       from croft.queues where $1 or not private group by target
     ) as summed left join lateral (
       select id, queued_at from croft.builds where summed.queued > 0 and ${waiting.condition}
         and ($1 or not is_private) order by ${waiting.oldestFirst} limit 1
     ) as oldest on true order by summed.target`,
    [withPrivate],
  );
}

/** Whether an agent offers what builds of a target need, if they do not ask for something else. */
function canBuild({ offer }: KnownAgent, { machine, toolchain }: Target): boolean {
  return (
    matchesPattern(toolchain, offer.toolchain) && offer.machines.some((name) => matchesPattern(machine, name))
  );
}
