import { Backoff } from "../../os/backoff.ts";

/** A bootstrap as far as failures of it are remembered. */
export interface BootstrapAttempt {
  /** Directory of the machine. */
  directory: string;
  /** Machine id, toolchain id and worker version: any change is a reason to try again at once. */
  subject: string;
}

/**
 * Remembers failed bootstraps of this process: the machine is left alone for 1, 2, 4, … at most 60 minutes, so that
 * one broken machine does not keep the instance from building on the others.
 */
export class BootstrapBackoff {
  readonly #pauses: Backoff<string>;
  /** What failed last, by directory. */
  readonly #subjects = new Map<string, string>();

  /** @param now milliseconds of a clock that never goes back. */
  constructor(now?: () => number) {
    this.#pauses = new Backoff(60 * 60, now, 60);
  }

  /** Notes a failure; returns for how many minutes the machine is left alone. */
  failed({ directory, subject }: BootstrapAttempt): number {
    if (this.#subjects.get(directory) !== subject) this.#pauses.succeeded(directory);
    this.#subjects.set(directory, subject);
    return this.#pauses.failed(directory) / 60;
  }

  succeeded({ directory }: BootstrapAttempt): void {
    this.#pauses.succeeded(directory);
    this.#subjects.delete(directory);
  }

  /** For how long the machine is still left alone; 0: not. */
  remainingSeconds({ directory, subject }: BootstrapAttempt): number {
    return this.#subjects.get(directory) === subject ? this.#pauses.remainingSeconds(directory) : 0;
  }
}
