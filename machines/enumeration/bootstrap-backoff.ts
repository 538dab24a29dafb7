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
  readonly #now: () => number;
  readonly #failures = new Map<string, { subject: string; count: number; until: number }>();

  /** @param now milliseconds of a clock that never goes back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Notes a failure; returns for how many minutes the machine is left alone. */
  failed({ directory, subject }: BootstrapAttempt): number {
    const last = this.#failures.get(directory);
    const count = last?.subject === subject ? last.count + 1 : 1;
    const minutes = Math.min(2 ** (count - 1), 60);
    this.#failures.set(directory, { subject, count, until: this.#now() + minutes * 60_000 });
    return minutes;
  }

  succeeded({ directory }: BootstrapAttempt): void {
    this.#failures.delete(directory);
  }

  /** For how long the machine is still left alone; 0: not. */
  remainingSeconds({ directory, subject }: BootstrapAttempt): number {
    const last = this.#failures.get(directory);
    if (last?.subject !== subject) return 0;
    return Math.max(0, (last.until - this.#now()) / 1000);
  }
}
