import { toWholeCharacter } from "./whole-characters.ts";

/** How long a line may be; V8's longest string is 512 MiB. */
const defaultMaxBytes = 256 * 1024 * 1024;
const newline = 0x0a;

/** A line of text without its newline; bytes that are no UTF-8 are replaced by U+FFFD. */
export interface Line {
  text: string;
  /** Bytes at its end that are missing, as the line was longer than is kept. */
  missing: number;
}

/** What comes before the first newline; all of a text without one. */
export function firstLine(text: string): string {
  const end = text.indexOf("\n");
  return end === -1 ? text : text.slice(0, end);
}

/**
 * Cuts a stream of bytes into lines, in linear time however the bytes arrive: only what is new is searched, and a
 * byte is copied at most three times (memory for a long line grows by doubling).
 */
export class LineSplitter {
  readonly #maxBytes: number;
  /** The unfinished line: the first `#length` bytes. */
  #buffer: Buffer = Buffer.alloc(0);
  #length = 0;
  #missing = 0;

  /** @param maxBytes what is kept of a longer line. */
  constructor(maxBytes = defaultMaxBytes) {
    this.#maxBytes = maxBytes;
  }

  /** The lines that end in this chunk. */
  *push(chunk: Buffer): Generator<Line, void> {
    let start = 0;
    for (let end; (end = chunk.indexOf(newline, start)) !== -1; start = end + 1) {
      const piece = chunk.subarray(start, end);
      if (this.#length === 0 && piece.length <= this.#maxBytes) yield { text: piece.toString(), missing: 0 };
      else {
        this.#append(piece);
        yield this.#take();
      }
    }
    this.#append(chunk.subarray(start));
  }

  /** The last line, if the stream did not end with a newline. */
  *end(): Generator<Line, void> {
    if (this.#length > 0) yield this.#take();
  }

  #append(piece: Buffer): void {
    const kept = Math.min(piece.length, this.#maxBytes - this.#length);
    this.#missing += piece.length - kept;
    if (this.#length + kept > this.#buffer.length) {
      const size = Math.min(Math.max(2 * this.#buffer.length, this.#length + kept), this.#maxBytes);
      const larger = Buffer.allocUnsafeSlow(size);
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    piece.copy(this.#buffer, this.#length, 0, kept);
    this.#length += kept;
  }

  #take(): Line {
    const all = this.#buffer.subarray(0, this.#length);
    const kept = this.#missing > 0 ? toWholeCharacter(all).length : all.length;
    const missing = this.#missing + all.length - kept;
    const line = { text: all.toString("utf8", 0, kept), missing };
    if (this.#buffer.length > 1024 * 1024) this.#buffer = Buffer.alloc(0); // one long line is seldom followed by more
    this.#length = 0;
    this.#missing = 0;
    return line;
  }
}
