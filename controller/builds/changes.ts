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

/** Notes the builds that changed until they are taken, so that whoever is slow holds a set and not a backlog. */
export class ChangeWaiter implements Disposable {
  readonly #changed = new Set<number>();
  #wake: (() => void) | undefined;
  readonly #subscription: Disposable;

  /** @param only a build's id: notes changes of that one alone. */
  constructor(changes: Changes, kinds: readonly Change[], only?: number) {
    this.#subscription = changes.subscribe(kinds, (build) => {
      if (only !== undefined && build !== only) return;
      this.#changed.add(build);
      this.#wake?.();
    });
  }

  /** The builds that changed since the last time. */
  take(): number[] {
    const taken = [...this.#changed];
    this.#changed.clear();
    return taken;
  }

  /** Whether something changed that was not taken, or does within the time. */
  async wait(milliseconds: number, signal: AbortSignal): Promise<boolean> {
    if (this.#changed.size === 0 && !signal.aborted)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, milliseconds);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
        signal.addEventListener("abort", this.#wake, { once: true });
      });
    if (this.#wake) signal.removeEventListener("abort", this.#wake);
    this.#wake = undefined;
    return this.#changed.size > 0;
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }
}
