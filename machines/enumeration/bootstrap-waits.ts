/** Machines that are to be bootstrapped, and wait for the builds on their copies; every so often that is worth a word. */
const patienceMinutes = 10;

export class BootstrapWaits {
  /** Since when, and when it was told last; by directory. */
  readonly #since = new Map<string, { began: number; told: number }>();
  readonly #now: () => number;

  /** @param now milliseconds of a clock that never goes back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** It still waits; returns for how many minutes already, if that is to be told now. */
  waits(directory: string): number | undefined {
    const now = this.#now();
    const { began, told } = this.#since.get(directory) ?? { began: now, told: now };
    const isDue = now - told >= patienceMinutes * 60_000;
    this.#since.set(directory, { began, told: isDue ? now : told });
    return isDue ? Math.round((now - began) / 60_000) : undefined;
  }

  ended(directory: string): void {
    this.#since.delete(directory);
  }
}
