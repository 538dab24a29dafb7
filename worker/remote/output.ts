import { fromWholeCharacter, toWholeCharacter } from "../../os/text/whole-characters.ts";

const newline = 0x0a;
const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString();

/** Keeps beginning and end of a program's output, in bounded memory. */
export class BoundedOutput {
  readonly #limit: number;
  readonly #head: Buffer[] = [];
  #headLength = 0;
  #tail: Buffer[] = [];
  #tailLength = 0;
  #total = 0;

  /** @param limitBytes how much is kept, half of it of the beginning and half of the end. */
  constructor(limitBytes: number) {
    this.#limit = limitBytes;
  }

  push(chunk: Buffer): void {
    const half = this.#limit / 2;
    this.#total += chunk.length;
    const first = chunk.subarray(0, Math.max(0, half - this.#headLength));
    if (first.length > 0) this.#head.push(first);
    this.#headLength += first.length;
    const rest = chunk.subarray(first.length);
    if (rest.length === 0) return;
    this.#tail.push(rest);
    this.#tailLength += rest.length;
    if (this.#tailLength < 2 * half + 65536) return; // so that each byte is copied once at most
    const end = Buffer.concat(this.#tail).subarray(-half);
    this.#tail = [Buffer.from(end)];
    this.#tailLength = end.length;
  }

  /** What was kept, with a line that says what is missing; bytes that are no UTF-8 are replaced by U+FFFD. */
  text(): string {
    const head = Buffer.concat(this.#head);
    const tail = Buffer.concat(this.#tail);
    if (this.#total <= this.#limit) return Buffer.concat([head, tail]).toString();
    // Whole lines, where they are not as long as all that is kept.
    const beginning = toWholeCharacter(head.subarray(0, head.lastIndexOf(newline) + 1 || head.length));
    const lastHalf = tail.subarray(-this.#limit / 2);
    const end = fromWholeCharacter(lastHalf.subarray((lastHalf.indexOf(newline) + 1) % lastHalf.length));
    const missing = this.#total - beginning.length - end.length;
    const separator = beginning.at(-1) === newline ? "" : "\n";
    return (
      `${textOf(beginning)}${separator}` +
      `[... ${missing} bytes left out: more than ${this.#limit} are not kept ...]\n${textOf(end)}`
    );
  }
}
