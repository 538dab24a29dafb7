/** Tells who follows a build that something about it changed; what changed is read from the database and the files. */
import { EventEmitter } from "node:events";

/** A build's state changed, or its live log grew. */
export type Change = "state" | "log";

/** Changes of builds, within this process. */
export class Changes {
  readonly #emitter = new EventEmitter<Record<Change, [number]>>().setMaxListeners(0);

  announce(change: Change, build: number): void {
    this.#emitter.emit(change, build);
  }

  /** Calls back with the build's id; disposing of the result ends it. */
  subscribe(changes: readonly Change[], callback: (build: number) => void): Disposable {
    for (const change of changes) this.#emitter.on(change, callback);
    return {
      [Symbol.dispose]: () => {
        for (const change of changes) this.#emitter.off(change, callback);
      },
    };
  }
}
