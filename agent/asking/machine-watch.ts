/**
 * Notices that the machines of a host are other than they were when they were offered: an agent that begins with a task
 * writes into its machine's lock, and empties it in the end (machines/locks.ts). The lock itself, which everybody takes for a
 * moment who looks, makes no notice.
 */
import { watch } from "node:fs";
import { reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";

/** Each takes a bit of what the kernel has for watches; whoever has more machines asks from time to time. */
const mostMachines = 1000;

/** Begins to watch lock files; to be called while nobody can begin with a task. */
export class MachineWatch implements Disposable {
  readonly #changed = new AbortController();
  readonly #watches = new DisposableStack();

  constructor(locks: readonly string[], log: Log) {
    if (locks.length > mostMachines) return;
    for (const lock of locks) {
      const failed = (error: unknown) =>
        log.debug({ lock, reason: reasonOf(error) }, "cannot watch whether a machine is taken");
      try {
        const watcher = watch(lock, { persistent: false }, () => this.#changed.abort()).on("error", failed);
        this.#watches.defer(() => watcher.close());
      } catch (error) {
        failed(error);
      }
    }
  }

  /** Aborted when one was taken, freed or removed. */
  get changed(): AbortSignal {
    return this.#changed.signal;
  }

  [Symbol.dispose](): void {
    this.#watches.dispose();
  }
}
