/** Tells whoever waits how far something has come, if it takes longer than people wait without asking. */
const firstMs = 2000;
const againMs = 5000;

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

  /** Writes a line, if it is time for one. */
  tell(how: string): void {
    const now = this.#now();
    if (now < this.#nextMs) return;
    this.#nextMs = now + againMs;
    this.#write(`${this.#what}: ${how}`);
  }
}
