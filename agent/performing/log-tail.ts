import { stripVTControlCharacters } from "node:util";
import { replaceRefusedCharacters } from "../../manifests/text/characters.ts";

/** Keeps the end of what a machine printed, for the log of a task that it could not finish. */
export class LogTail {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #size = 0;

  constructor(maxBytes = 64 * 1024) {
    this.#maxBytes = maxBytes;
  }

  write(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size > 2 * this.#maxBytes) {
      // A copy: a slice would keep all of the memory alive.
      const tail = Buffer.from(Buffer.concat(this.#chunks).subarray(-this.#maxBytes));
      this.#chunks = [tail];
      this.#size = tail.length;
    }
  }

  /** The end of the output as text that a manifest can hold, under a heading; empty if there was none. */
  quote(): string {
    const all = Buffer.concat(this.#chunks).subarray(-this.#maxBytes).toString("utf8");
    if (all === "") return "";
    const plain = stripVTControlCharacters(all.replace(/\r+\n?/g, "\n"));
    return `\n\nThe last that the machine printed:\n${replaceRefusedCharacters(plain)}`;
  }
}
