/** Tells whoever waits how far something has come, if it takes longer than people wait without asking. */
const firstMs = 2000;
const againMs = 5000;
const lookMs = 500;

export class Progress {
  readonly #what: string;
  readonly #write: (line: string) => void;
  readonly #now: () => number;
  #nextMs: number;

  constructor(
    what: string,
    write: (line: string) => void = (line) => process.stderr.write(`croft: ${line}\n`),
    now: () => number = () => performance.now(),
  ) {
    this.#what = what;
    this.#write = write;
    this.#now = now;
    this.#nextMs = now() + firstMs;
  }

  /** Writes lines while something is done that does not tell how far it is. */
  async during<T>(how: string, work: Promise<T>): Promise<T> {
    const timer = setInterval(() => this.tell(how), lookMs);
    try {
      return await work;
    } finally {
      clearInterval(timer);
    }
  }

  /** Writes a line, if it is time for one. */
  tell(how: string): void {
    const now = this.#now();
    if (now < this.#nextMs) return;
    this.#nextMs = now + againMs;
    this.#write(`${this.#what}: ${how}`);
  }
}
