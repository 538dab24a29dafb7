import { Interrupted, type Interruption } from "./task-state/interruption.ts";

/** What signals ask of the agent (agent.md, "Signals and exit"). */
export interface SignalWatch extends Disposable {
  /** Aborted by SIGTERM and SIGINT: end, and report a running task as interrupted. */
  readonly stop: AbortSignal;
  /** Aborted by SIGUSR2: end after the current task. */
  readonly drain: AbortSignal;
  /** Aborted by SIGHUP: read the configuration again before the next round. {@link takeReload} renews it. */
  readonly reload: AbortSignal;
  /** Whether SIGHUP has come since the last call. */
  takeReload(): boolean;
  /** Starts to listen to SIGUSR1 for a task that begins; while the toolchain lock is still held. */
  armInterruption(): Interruption;
}

const ignore = () => {};

/**
 * Puts the handlers in place; before the first lock is taken, since others signal whoever holds a lock.
 *
 * After disposing, the signals are ignored: the process is about to end as it was asked to, and a second SIGTERM, or
 * a SIGUSR1 that comes late, must not make that look like a crash.
 */
export function watchSignals(): SignalWatch {
  const stop = new AbortController();
  const drain = new AbortController();
  let reload = new AbortController();
  let task: AbortController | undefined;
  const handlers: [NodeJS.Signals, () => void][] = [
    ["SIGTERM", () => stop.abort(new Interrupted("the agent was stopped"))],
    ["SIGINT", () => stop.abort(new Interrupted("the agent was stopped"))],
    ["SIGUSR1", () => task?.abort(new Interrupted("a task of higher priority needs the machine"))],
    ["SIGUSR2", () => drain.abort()],
    ["SIGHUP", () => reload.abort()],
    ["SIGPIPE", ignore],
  ];
  for (const [name, handler] of handlers) process.on(name, handler);
  return {
    stop: stop.signal,
    drain: drain.signal,
    get reload() {
      return reload.signal;
    },
    takeReload: () => {
      if (!reload.signal.aborted) return false;
      reload = new AbortController();
      return true;
    },
    armInterruption: () => {
      const mine = new AbortController();
      task = mine;
      return {
        signal: AbortSignal.any([mine.signal, stop.signal]),
        [Symbol.dispose]: () => {
          if (task === mine) task = undefined;
        },
      };
    },
    [Symbol.dispose]: () => {
      for (const [name, handler] of handlers) {
        if (!process.listeners(name).includes(ignore)) process.on(name, ignore);
        if (handler !== ignore) process.off(name, handler);
      }
    },
  };
}
