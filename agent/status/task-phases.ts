/**
 * Where the time of a task goes, from the wake-up to its result at the controller, phase by phase; told in the log and in
 * the metrics once the task is over. An instance has one task at a time, so there is one of these. Phases may overlap, and one
 * that comes several times (a boot that is tried again) is summed up.
 */
import type { Log } from "../../os/log.ts";

/** In the order in which they begin. */
export const taskPhases = [
  "wake-up",
  "enumeration",
  "request",
  "start",
  "spool-entry",
  "snapshot",
  "qemu",
  "restore",
  "worker",
  "boot",
  "build",
  "upload",
  "parse",
  "spool",
  "clean-up",
  "send",
] as const;

export type TaskPhase = (typeof taskPhases)[number];

export class TaskPhases {
  readonly #spent = new Map<TaskPhase, number>();
  readonly #observe: (phase: TaskPhase, seconds: number) => void;
  #beganMs = 0;

  /** @param observe is told of each phase of a task that is over. */
  constructor(observe: (phase: TaskPhase, seconds: number) => void) {
    this.#observe = observe;
  }

  /**
   * A round begins, which may bring a task; what is known of the last one is forgotten.
   *
   * @param wokenMs when the agent was woken for it, by performance.now().
   */
  begin(wokenMs?: number): void {
    this.#spent.clear();
    this.#beganMs = wokenMs ?? performance.now();
    if (wokenMs !== undefined) this.add("wake-up", performance.now() - wokenMs);
  }

  /** A phase lasts until this is disposed of; disposing twice is harmless. */
  time(phase: TaskPhase): Disposable {
    const began = performance.now();
    let isOver = false;
    return {
      [Symbol.dispose]: () => {
        if (!isOver) this.add(phase, performance.now() - began);
        isOver = true;
      },
    };
  }

  add(phase: TaskPhase, milliseconds: number): void {
    this.#spent.set(phase, (this.#spent.get(phase) ?? 0) + milliseconds);
  }

  /** The task is over: tells what its phases took, in seconds. */
  end(log: Log): void {
    const total = performance.now() - this.#beganMs;
    const seconds = (milliseconds: number) => Math.round(milliseconds) / 1000;
    const told: Partial<Record<TaskPhase, number>> = {};
    for (const phase of taskPhases) {
      const milliseconds = this.#spent.get(phase);
      if (milliseconds === undefined) continue;
      this.#observe(phase, milliseconds / 1000);
      told[phase] = seconds(milliseconds);
    }
    log.step({ ...told, total: seconds(total) }, "phases of the task");
    this.#spent.clear();
  }
}
