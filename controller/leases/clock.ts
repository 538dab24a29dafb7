/** Leases end by the database's clock, which somebody may set; what that did is seen by a clock that only goes on. */

/** No answer of a database takes so long, and no clock is put right by less in one step that a lease would mind. */
const jumpMs = 30_000;
/** Leases are looked at every few seconds: after a longer gap, this process itself did not run, or its database did not. */
const gapMs = 15_000;

/** What is seen between two looks. */
export type LeaseClockView = "steady" | "jumped" | "stood still";

/** Watches the clock of leases. */
export class LeaseClock {
  readonly #now: () => number;
  #last: { databaseMs: number; ownMs: number } | undefined;

  /** @param now milliseconds of a clock that never goes back. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** @param databaseTime of this moment; at the first look, nobody knows how long there was no controller. */
  look(databaseTime: Date): LeaseClockView {
    const seen = { databaseMs: databaseTime.getTime(), ownMs: this.#now() };
    const last = this.#last;
    this.#last = seen;
    if (!last) return "stood still";
    const own = seen.ownMs - last.ownMs;
    if (Math.abs(seen.databaseMs - last.databaseMs - own) > jumpMs) return "jumped";
    return own > gapMs ? "stood still" : "steady";
  }
}
