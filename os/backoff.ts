/** Growing pauses after failures, one count for each key: the first, twice that, four times… up to a maximum. */
export class Backoff<Key> {
  readonly #maximumSeconds: number;
  readonly #firstSeconds: number;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #failures = new Map<Key, { count: number; until: number }>();

  /**
   * @param now milliseconds of a clock that never goes back.
   * @param random 0 to 1, for pauses that are up to a half shorter: many who fail at once are not to try again at once.
   */
  constructor(
    maximumSeconds: number,
    now: () => number = () => performance.now(),
    firstSeconds = 1,
    random: () => number = () => 1,
  ) {
    this.#maximumSeconds = maximumSeconds;
    this.#firstSeconds = firstSeconds;
    this.#now = now;
    this.#random = random;
  }

  /**
   * Notes a failure; returns the pause, in seconds.
   *
   * @param costSeconds what the try has cost: the first pause is no shorter.
   */
  failed(key: Key, costSeconds = 0): number {
    const count = (this.#failures.get(key)?.count ?? 0) + 1;
    const firstSeconds = Math.max(this.#firstSeconds, costSeconds);
    const longestSeconds = Math.min(firstSeconds * 2 ** (count - 1), this.#maximumSeconds);
    const pauseSeconds = longestSeconds * ((1 + this.#random()) / 2);
    this.#failures.set(key, { count, until: this.#now() + pauseSeconds * 1000 });
    return pauseSeconds;
  }

  succeeded(key: Key): void {
    this.#failures.delete(key);
  }

  /** What is left of the pause, 0 if there is none. */
  remainingSeconds(key: Key): number {
    const failure = this.#failures.get(key);
    return failure ? Math.max(0, (failure.until - this.#now()) / 1000) : 0;
  }
}

/** How patiently something is tried again whose count of tries is kept elsewhere, as in a database. */
export interface Patience {
  firstPauseSeconds: number;
  longestPauseSeconds: number;
  /** Then it is given up. */
  mostTries: number;
}

/**
 * The pause after a failed try, in seconds.
 *
 * @param tries that have failed, with this one.
 * @param afterSeconds how long the other end wants not to be asked.
 */
export function pauseAfter(
  tries: number,
  { firstPauseSeconds, longestPauseSeconds }: Omit<Patience, "mostTries">,
  afterSeconds = 0,
): number {
  return Math.min(longestPauseSeconds, Math.max(firstPauseSeconds * 2 ** (tries - 1), afterSeconds));
}

/** The seconds of a `Retry-After` header (RFC 9110, 10.2.3); 0 if there is none, or it is a date. */
export function retryAfterSeconds(header: string | null | undefined): number {
  const seconds = Number(header ?? 0);
  return Number.isFinite(seconds) ? Math.max(0, seconds) : 0;
}
