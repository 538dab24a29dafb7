import { LF, TAB } from "./characters.ts";

// What a byte may be in a value; the first two need no look in a multi-line value.
export const PLAIN = 0;
export const NEWLINE = 1;
export const HIGH = 2; // part of a character beyond ASCII
export const OTHER = 3;

export const kinds = new Uint8Array(256).fill(OTHER);
kinds.fill(PLAIN, 0x20, 0x7f);
kinds[TAB] = PLAIN;
kinds[LF] = NEWLINE;
kinds.fill(HIGH, 0x80);

/** Finds bytes that need a look, four at a time. */
export class PlainScan {
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  /** Offset of the first word in the bytes. */
  readonly #first: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#first = -bytes.byteOffset & 3;
    const words = Math.max(0, (bytes.length - this.#first) >> 2);
    this.#words =
      words > 0 ? new Int32Array(bytes.buffer, bytes.byteOffset + this.#first, words) : new Int32Array(0);
  }

  /** The next byte, from `at` on, that is neither plain ASCII nor a newline, or the end. */
  from(at: number, end: number): number {
    const bytes = this.#bytes;
    const words = this.#words;
    const lastWord = Math.min(words.length, (end - this.#first) >> 2);
    for (; at < end; at++) {
      if (((at - this.#first) & 3) === 0) {
        let word = (at - this.#first) >> 2;
        while (word < lastWord && isPlainWord(words[word]!)) word++;
        at = this.#first + (word << 2);
        if (at >= end) break;
      }
      if (kinds[bytes[at]!]! > NEWLINE) return at;
    }
    return end;
  }
}

/**
 * True if all four bytes are printable ASCII: "determine if a word has a byte less than n" of Bit Twiddling Hacks.
 * A newline or tab makes it false: the caller looks at the bytes then.
 */
function isPlainWord(word: number): boolean {
  const low = (word - 0x20202020) & ~word;
  const highOrDelete = (word + 0x01010101) | word;
  return ((low | highOrDelete) & 0x80808080) === 0;
}
