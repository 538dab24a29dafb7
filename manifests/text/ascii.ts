/** Strings from ASCII bytes, with as few calls out of JavaScript as can be. */

/** The text of ASCII bytes. */
export function decodeAscii(bytes: Buffer, start: number, end: number): string {
  return bytes.toString("latin1", start, end);
}

/** The last names: the same few come again and again. */
export class RecentStrings {
  readonly #strings = Array<string>(256).fill("");

  /** The ASCII text of bytes with this hash. */
  take(bytes: Buffer, start: number, end: number, hash: number): string {
    const slot = (hash ^ (hash >>> 8)) & 255;
    const known = this.#strings[slot]!;
    if (known.length === end - start) {
      let at = start;
      while (at < end && known.charCodeAt(at - start) === bytes[at]) at++;
      if (at === end) return known;
    }
    return (this.#strings[slot] = decodeAscii(bytes, start, end));
  }
}

/**
 * Decodes ASCII parts of bytes. A call out of JavaScript costs more than a short value is worth, so short ones are
 * cut from blocks decoded at once; a value then keeps its block, and no more than that, from being collected.
 */
export class BlockText {
  static readonly #blockBytes = 8192;
  static readonly #longest = 512;
  readonly #bytes: Buffer;
  #text = "";
  #start = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  slice(start: number, end: number): string {
    if (end - start > BlockText.#longest) return decodeAscii(this.#bytes, start, end);
    if (end > this.#start + this.#text.length) {
      this.#start = start;
      this.#text = decodeAscii(
        this.#bytes,
        start,
        Math.min(start + BlockText.#blockBytes, this.#bytes.length),
      );
    }
    return this.#text.slice(start - this.#start, end - this.#start);
  }
}
