import { Interrupted } from "./context.ts";

/**
 * The time in which a task may be interrupted: from just before the toolchain lock is released, so that nobody can read
 * the task's priority earlier, until it is disposed of; a SIGUSR1 that comes later means nobody and is ignored.
 */
export interface Interruption extends Disposable {
  /** Aborted with {@link Interrupted} by SIGUSR1 (until disposed of) and by the end of the agent (always). */
  readonly signal: AbortSignal;
}

/** What signals ask of the agent (agent.md, "Signals and exit"). */
export interface SignalWatch extends Disposable {
  /** Aborted by SIGTERM and SIGINT: end, and report a running task as interrupted. */
  readonly stop: AbortSignal;
  /** Aborted by SIGUSR2: end after the current task. */
  readonly drain: AbortSignal;
  /** Starts to listen to SIGUSR1 for a task that begins; while the toolchain lock is still held. */
  armInterruption(): Interruption;
}

/** Puts the handlers in place; before the first lock is taken, since others signal whoever holds a lock. */
export function watchSignals(): SignalWatch {
  const stop = new AbortController();
  const drain = new AbortController();
  let task: AbortController | undefined;
  const handlers: [NodeJS.Signals, () => void][] = [
    ["SIGTERM", () => stop.abort(new Interrupted("the agent was stopped"))],
    ["SIGINT", () => stop.abort(new Interrupted("the agent was stopped"))],
    ["SIGUSR1", () => task?.abort(new Interrupted("a task of higher priority needs the machine"))],
    ["SIGUSR2", () => drain.abort()],
    ["SIGHUP", () => {}],
    ["SIGPIPE", () => {}],
  ];
  for (const [name, handler] of handlers) process.on(name, handler);
  return {
    stop: stop.signal,
    drain: drain.signal,
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
      for (const [name, handler] of handlers) process.off(name, handler);
    },
  };
}
