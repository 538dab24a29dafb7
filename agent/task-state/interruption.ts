/** The reason of an abort when a task is to give way or the agent is to end. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/** The reason of an abort when nobody waits for the result any more: there is nothing to report. */
export class Cancelled extends Interrupted {}

/**
 * The time in which a task may be interrupted: from just before the toolchain lock is released, so that nobody can read
 * the task's priority earlier, until it is disposed of; a SIGUSR1 that comes later means nobody and is ignored.
 */
export interface Interruption extends Disposable {
  /** Aborted with {@link Interrupted} by SIGUSR1 (until disposed of) and by the end of the agent (always). */
  readonly signal: AbortSignal;
}
