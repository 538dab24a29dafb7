/** Keeps what is in memory at a time within bounds: who needs more than is left waits, first come first served. */

/** Bytes of memory that one has; disposing of them lets others have them. */
export type HeldBytes = Disposable;

interface Waiting {
  bytes: number;
  begin: (held: HeldBytes) => void;
}

/** So many bytes for all. */
export class ByteBudget {
  readonly #all: number;
  #left: number;
  readonly #waiting = new Set<Waiting>();

  constructor(bytes: number) {
    this.#all = bytes;
    this.#left = bytes;
  }

  /**
   * Waits for its turn. Who needs more than there is has all of it.
   *
   * @returns undefined if it did not come within the time.
   */
  async take(bytes: number, patienceMs: number): Promise<HeldBytes | undefined> {
    const { promise, resolve } = Promise.withResolvers<HeldBytes | undefined>();
    const waiting = { bytes: Math.min(bytes, this.#all), begin: resolve };
    this.#waiting.add(waiting);
    this.#next();
    const timer = setTimeout(() => {
      this.#waiting.delete(waiting);
      this.#next();
      resolve(undefined);
    }, patienceMs);
    return await promise.finally(() => clearTimeout(timer));
  }

  #next(): void {
    for (const waiting of this.#waiting) {
      if (waiting.bytes > this.#left) return;
      this.#waiting.delete(waiting);
      this.#left -= waiting.bytes;
      waiting.begin(this.#held(waiting.bytes));
    }
  }

  #held(bytes: number): HeldBytes {
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#left += bytes;
        this.#next();
      },
    };
  }
}
