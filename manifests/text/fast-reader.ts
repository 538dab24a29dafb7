/**
 * Reading a whole stream at once, fast.
 *
 * What occurs in practice (ASCII and well-formed UTF-8, LF, joined lines) is read here with few steps a byte.
 * At anything else, be it an error or only a CR, the exact reader takes over at the start of the pair in question:
 * it alone knows the errors. So this file may give up wherever it likes, but what it delivers must be exact.
 */
import { ByteBuffer } from "./byte-buffer.ts";
import { BACKSLASH, COLON, HASH, LF, SPACE, TAB, matchesManifestCharacters } from "./characters.ts";
import { BlockText, RecentStrings, decodeAscii } from "./ascii.ts";
import { HIGH, NEWLINE, OTHER, PLAIN, PlainScan, kinds } from "./plain-scan.ts";
import { ManifestReader, type Pair } from "./reader.ts";

/**
 * Reads a whole stream.
 *
 * @throws {ManifestError}
 */
export function readPairs(bytes: Uint8Array, source?: string): Pair[] {
  const fast = new FastReader(bytes);
  if (fast.run()) return fast.pairs;
  const { pairs, checkpoint } = fast;
  const start = {
    line: 1 + countNewlines(bytes, checkpoint),
    inManifest: fast.inManifest,
    versionSeen: fast.versionSeen,
  };
  const options = source === undefined ? { start } : { start, source };
  const reader = new ManifestReader(({ name, value }) => pairs.push({ name, value }), options);
  reader.push(bytes.subarray(checkpoint));
  reader.end();
  return pairs;
}

/** Thrown, once at most, to give up: cheaper than a check after each step. */
const unusual = new Error("for the exact reader");

class FastReader {
  readonly pairs: Pair[] = [];
  inManifest = false;
  versionSeen = false;
  /** Start of a line; everything before it is in `pairs`. */
  checkpoint = 0;
  readonly #bytes: Buffer;
  readonly #end: number;
  readonly #names = new RecentStrings();
  readonly #values: BlockText;
  readonly #scan: PlainScan;
  /** A value whose lines are joined, without what joins them. */
  readonly #joined = new ByteBuffer(256);
  /** Past the value that was read last, and its newline. */
  #next = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#end = bytes.length;
    this.#values = new BlockText(this.#bytes);
    this.#scan = new PlainScan(bytes);
  }

  /** Returns false if the rest, from the checkpoint on, is for the exact reader. */
  run(): boolean {
    try {
      for (let at = this.#skip(0); at < this.#end; at = this.#skip(this.checkpoint)) this.#pair(at);
    } catch (error) {
      if (error !== unusual) throw error;
      return false;
    }
    if (this.inManifest) this.pairs.push({ name: "", value: "" });
    this.pairs.push({ name: "", value: "" });
    return true;
  }

  /** Skips blanks, newlines and comments at the start of a line. */
  #skip(at: number): number {
    const bytes = this.#bytes;
    for (; at < this.#end; at++) {
      const byte = bytes[at]!;
      if (byte === HASH) at = this.#skipComment(at);
      else if (byte !== LF && byte !== SPACE && byte !== TAB) {
        if (byte === COLON && this.inManifest) {
          this.pairs.push({ name: "", value: "" });
          this.inManifest = false;
          this.checkpoint = at - columnOffset(bytes, at);
        }
        return at;
      }
    }
    return at;
  }

  /** Returns where the comment's newline is. */
  #skipComment(start: number): number {
    const bytes = this.#bytes;
    let at = start;
    let high = false;
    for (; at < this.#end && bytes[at] !== LF; at++) {
      const kind = kinds[bytes[at]!];
      if (kind === OTHER) throw unusual;
      if (kind === HIGH) high = true;
    }
    if (high) decodeHigh(bytes, start, at);
    return at;
  }

  #pair(start: number): void {
    const bytes = this.#bytes;
    const end = this.#end;
    let at = start;
    let high = false;
    let hash = 0;
    for (; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === COLON || byte <= SPACE) break;
      if (byte >= 0x7f) {
        if (byte === 0x7f) throw unusual;
        high = true;
      }
      hash = (Math.imul(hash, 31) + byte) | 0;
    }
    const name = high ? decodeHigh(bytes, start, at) : this.#names.take(bytes, start, at, hash);
    while (at < end && isBlank(bytes[at]!)) at++;
    if (at === end || bytes[at] !== COLON) throw unusual;
    at++;
    while (at < end && isBlank(bytes[at]!)) at++;
    let value = this.#value(at);
    if (!this.inManifest) {
      if (name !== "" || (value !== "1" && (value !== "" || !this.versionSeen))) throw unusual;
      value = "1";
      this.inManifest = this.versionSeen = true;
    }
    this.pairs.push({ name, value });
    this.checkpoint = this.#next;
  }

  #value(start: number): string {
    const bytes = this.#bytes;
    const end = this.#end;
    if (start === end) {
      this.#next = end;
      return "";
    }
    if (bytes[start] === LF) {
      if (isLone(bytes, start + 1, end)) return this.#multiLine(Math.min(start + 3, end));
      if (isOdd(bytes, start + 1, end)) throw unusual;
      if (bytes[start + 1] === BACKSLASH && isOdd(bytes, start + 2, end)) throw unusual;
      this.#next = start + 1;
      return "";
    }
    if (isLone(bytes, start, end)) return this.#multiLine(Math.min(start + 2, end));
    return this.#simple(start);
  }

  #simple(start: number): string {
    const bytes = this.#bytes;
    const end = this.#end;
    let high = false;
    let at = start;
    for (; at < end; at++) {
      const kind = kinds[bytes[at]!]!;
      if (kind === PLAIN) continue;
      if (kind === NEWLINE) break;
      if (kind === OTHER) throw unusual;
      if (kind === HIGH) high = true;
    }
    if (bytes[at - 1] === BACKSLASH) return this.#endsInBackslash(start, at, high);
    this.#next = at < end ? at + 1 : end;
    while (isBlank(bytes[at - 1]!)) at--; // not past the start, which is no blank
    return this.#decode(start, at, high);
  }

  /** A simple value whose first line, up to `at`, ends in a backslash: lines may be joined. */
  #endsInBackslash(start: number, at: number, high: boolean): string {
    const bytes = this.#bytes;
    const end = this.#end;
    const joined = this.#joined;
    joined.length = 0;
    for (let line = start; ;) {
      joined.append(bytes, line, bytes[at - 1] === BACKSLASH && at > line ? at - 1 : at);
      const joins =
        at < end &&
        at > line &&
        bytes[at - 1] === BACKSLASH &&
        (at - 2 < line || bytes[at - 2] !== BACKSLASH);
      if (!joins) break;
      line = at + 1;
      if (isLone(bytes, line, end)) {
        joined.push(LF);
        line = Math.min(line + 2, end);
      }
      if (isContinuation(bytes, line, end)) throw unusual;
      for (at = line; at < end && bytes[at] !== LF; at++) {
        const kind = kinds[bytes[at]!]!;
        if (kind === OTHER) throw unusual;
        if (kind === HIGH) high = true;
      }
    }
    this.#next = at < end ? at + 1 : end;
    let length = joined.length;
    while (length > 0 && isBlank(joined.bytes[length - 1]!)) length--;
    return this.#decodeJoined(length, high);
  }

  /** Goes from backslash to backslash: nothing else can end the value, or change it. */
  #multiLine(start: number): string {
    const bytes = this.#bytes;
    const end = this.#end;
    const joined = this.#joined;
    joined.length = 0;
    /** Start of what is not in `joined` yet. */
    let from = start;
    for (let at = start; (at = bytes.indexOf(BACKSLASH, at)) >= 0; at++) {
      while (at + 1 < end && bytes[at + 1] === BACKSLASH) at++;
      if (at + 1 < end && bytes[at + 1] !== LF) continue;
      const before = bytes[at - 1];
      if (before === LF) {
        // Lone. The newline before it goes with it, unless it joined the lines.
        this.#next = Math.min(at + 2, end);
        return this.#finishMultiLine(start, from, from === at ? at : at - 1);
      }
      if (joined.length === 0) joined.reserve(end - from); // at once: growing would need both buffers
      joined.append(bytes, from, at);
      from = before === BACKSLASH ? at + 1 : Math.min(at + 2, end);
      if (isContinuation(bytes, from, end)) throw unusual;
    }
    this.#next = end;
    return this.#finishMultiLine(start, from, end);
  }

  /** The value is in `joined` and, the rest of it, between `from` and `to`. */
  #finishMultiLine(start: number, from: number, to: number): string {
    const joined = this.#joined;
    const odd = this.#scan.from(start, to);
    const high = odd < to;
    if (high && kinds[this.#bytes[odd]!] === OTHER) throw unusual;
    if (joined.length === 0) return this.#decode(from, to, high);
    joined.append(this.#bytes, from, to);
    return this.#decodeJoined(joined.length, high);
  }

  #decode(start: number, end: number, high: boolean): string {
    if (high) return decodeHigh(this.#bytes, start, end);
    return this.#values.slice(start, end);
  }

  #decodeJoined(length: number, high: boolean): string {
    return high ? decodeHigh(this.#joined.bytes, 0, length) : decodeAscii(this.#joined.bytes, 0, length);
  }
}

const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Decodes bytes that are not all ASCII. */
function decodeHigh(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString("utf8", start, end);
  // The replacement character stands for bad bytes, or for itself.
  if (text.includes("\ufffd") && !isUtf8(bytes.subarray(start, end))) throw unusual;
  if (text.includes("\r") || !matchesManifestCharacters(text)) throw unusual;
  return text;
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    strictDecoder.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}

/** A line that is exactly one backslash starts at `at`. */
function isLone(bytes: Buffer, at: number, end: number): boolean {
  return at < end && bytes[at] === BACKSLASH && (at + 1 === end || bytes[at + 1] === LF);
}

/** The byte at `at` is not simply ASCII: the exact reader has a rule for when it is noticed. */
function isOdd(bytes: Buffer, at: number, end: number): boolean {
  return at < end && kinds[bytes[at]!]! >= HIGH;
}

/** A character's later byte: joining lines must not make a whole character of two halves. */
function isContinuation(bytes: Buffer, at: number, end: number): boolean {
  return at < end && bytes[at]! >= 0x80 && bytes[at]! < 0xc0;
}

/** How far into its line a byte is. */
function columnOffset(bytes: Buffer, at: number): number {
  return at - 1 - bytes.lastIndexOf(LF, at);
}

function countNewlines(bytes: Uint8Array, end: number): number {
  let count = 0;
  for (let at = 0; at < end; at++) if (bytes[at] === LF) count++;
  return count;
}
