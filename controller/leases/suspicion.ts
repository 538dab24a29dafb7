/** Tells hosts that have gone from a network that has: agents that nobody hears of all at once are still there. */

/** What is seen of the leases that last as long as signs of life come. */
export interface LeaseView {
  /** How many there are. */
  signing: number;
  /** How many of them have missed a sign. */
  late: number;
  /** How many of them have missed all that they may. */
  over: number;
}

/** So few may well be on one host that has died. */
const fewest = 3;
const share = 1 / 3;
const waitMs = 120_000;

export class NetworkSuspicion {
  readonly #now: () => number;
  /** When it arose; kept after its time until the agents are heard of again: it arises once for each silence. */
  #sinceMs: number | undefined;

  /** @param now milliseconds of a clock that never goes back. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** @returns `arises` or `holds`: no lease is to end now. */
  look({ signing, late, over }: LeaseView): "none" | "arises" | "holds" {
    const isSilent = late >= fewest && late > signing * share;
    const waited = this.#sinceMs === undefined ? Infinity : this.#now() - this.#sinceMs;
    if (waited < waitMs) return "holds";
    if (!isSilent) this.#sinceMs = undefined;
    if (!isSilent || over === 0 || this.#sinceMs !== undefined) return "none";
    this.#sinceMs = this.#now();
    return "arises";
  }
}
