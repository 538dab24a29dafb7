/**
 * Tells who follows a build that something about it changed; what changed is read from the database and the files.
 *
 * Where several controllers share a database, each tells the others (controller/database/notifications.ts). While that does
 * not work, changes are not {@link Changes.complete}, and followers look by themselves from time to time.
 */
import { EventEmitter } from "node:events";

/** A build's state changed, its live log grew; or what is paused or which keys agents have, told as one of build 0. */
export type Change = "state" | "log" | "pause" | "key";

/** Changes of builds, made by this controller or heard of. */
export class Changes {
  readonly #emitter = new EventEmitter<Record<Change, [number]> & { gap: [] }>().setMaxListeners(0);
  #tell: ((change: Change, build: number) => void) | undefined;
  #complete = true;

  /** Whether all changes are heard of here, whoever makes them. */
  get complete(): boolean {
    return this.#complete;
  }

  set complete(complete: boolean) {
    if (complete === this.#complete) return;
    this.#complete = complete;
    this.#emitter.emit("gap");
  }

  /** Says what this controller changed, to its followers and the other controllers. */
  announce(change: Change, build: number): void {
    this.#emitter.emit(change, build);
    this.#tell?.(change, build);
  }

  /** Says what another controller changed. */
  hear(change: Change, build: number): void {
    this.#emitter.emit(change, build);
  }

  /** Calls back with each change that others are to be told of. */
  tellOthers(tell: (change: Change, build: number) => void): void {
    this.#tell = tell;
  }

  /** Calls back when changes may have been missed. */
  onGap(callback: () => void): Disposable {
    this.#emitter.on("gap", callback);
    return { [Symbol.dispose]: () => this.#emitter.off("gap", callback) };
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
  readonly #held = new DisposableStack();

  /** @param only ids of builds: notes changes of these alone, and a gap as one of each. */
  constructor(changes: Changes, kinds: readonly Change[], only?: ReadonlySet<number>) {
    const note = (build: number) => {
      if (only && !only.has(build)) return;
      this.#changed.add(build);
      this.#wake?.();
    };
    this.#held.use(changes.subscribe(kinds, note));
    if (only) this.#held.use(changes.onGap(() => only.forEach(note)));
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
    this.#held.dispose();
  }
}
