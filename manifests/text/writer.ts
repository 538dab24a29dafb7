/**
 * The writer. It works on bytes: each value is encoded once, looked through line by line (most lines need nothing
 * but the look), and copied in as few pieces as there are breaks.
 */
import { ManifestWriteError } from "../error.ts";
import { ByteBuffer } from "./byte-buffer.ts";
import { BACKSLASH, COLON, CR, HASH, LF, SPACE, TAB, checkCodePoint, sequenceLength } from "./characters.ts";
import type { Pair } from "./reader.ts";

export interface WriterOptions {
  /** Break no lines. */
  longLines?: boolean;
}

/** What may be written: text, or its UTF-8 bytes. */
export type Text = string | Uint8Array;

/** A line is broken before it has more code points than this; its last one may stand one column further. */
const lineLimit = 77;
/** A blank further right than this may be a place for a break. */
const softLimit = 57;
/** With the colon and a blank, a name longer than this has its value in multi-line form. */
const nameLimit = 39;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Writes a sequence of pairs: `["", "1"]` opens a manifest, `["", ""]` ends it (or it is left out before the next
 * `["", "1"]`), one more `["", ""]` ends the stream.
 */
export class ManifestWriter {
  readonly #out = new ByteBuffer(4096);
  readonly #longLines: boolean;
  #state: "start" | "body" | "ended" = "start";
  #first = true;

  constructor(options: WriterOptions = {}) {
    this.#longLines = options.longLines ?? false;
  }

  /** @throws {ManifestWriteError} if the pair may not stand here or has a character that the format refuses. */
  pair(name: Text, value: Text): void {
    if (this.#state === "ended") throw new ManifestWriteError("serialization after eos");
    if (name.length === 0) return this.#special(value);
    if (this.#state === "start") throw new ManifestWriteError("format version pair expected");
    const start = this.#out.length;
    try {
      this.#named(bytesOf(name), bytesOf(value));
    } catch (error) {
      this.#out.length = start; // half a pair would read as something else
      throw error;
    }
  }

  /**
   * Writes a comment line.
   *
   * @throws {ManifestWriteError} after the end of the stream, or if it has a character that the format refuses.
   */
  comment(text: Text): void {
    if (this.#state === "ended") throw new ManifestWriteError("serialization after eos");
    const bytes = bytesOf(text);
    check(bytes, 0, bytes.length, "comment");
    this.#out.push(HASH);
    if (bytes.length > 0) this.#out.push(SPACE);
    this.#out.append(bytes);
    this.#out.push(LF);
  }

  /** What was written since the last call. */
  take(): Uint8Array {
    return this.#out.take();
  }

  /** An empty name: a format version, or the end of a manifest or of the stream. */
  #special(value: Text): void {
    if (value.length === 0) {
      this.#state = this.#state === "body" ? "start" : "ended";
      return;
    }
    const version = typeof value === "string" ? value : decoder.decode(value);
    this.#state = "start";
    if (version !== "1") throw new ManifestWriteError(`unsupported format version ${version}`);
    this.#out.appendText(this.#first ? ": 1\n" : ":\n");
    this.#first = false;
    this.#state = "body";
  }

  #named(name: Uint8Array, value: Uint8Array): void {
    const out = this.#out;
    const column = checkName(name) + 1;
    out.append(name);
    out.push(COLON);
    if (value.length > 0) {
      if (column + 1 > nameLimit || needsMultiLine(value)) this.#multiLine(value);
      else {
        out.push(SPACE);
        this.#chunk(value, 0, value.length, column + 1);
      }
    }
    out.push(LF);
  }

  #multiLine(value: Uint8Array): void {
    const out = this.#out;
    out.appendText("\n\\\n");
    for (let start = 0; ;) {
      let end = start;
      while (end < value.length && value[end] !== LF && value[end] !== CR) end++;
      this.#chunk(value, start, end, 0);
      out.push(LF);
      if (end === value.length) break;
      start = value[end] === CR && value[end + 1] === LF ? end + 2 : end + 1;
    }
    out.push(BACKSLASH);
  }

  /** One line of a value, the output line having `column` code points already. */
  #chunk(value: Uint8Array, start: number, end: number, column: number): void {
    const out = this.#out;
    check(value, start, end, "value");
    if (this.#longLines || column + end - start <= lineLimit) out.append(value, start, end);
    else appendBroken(out, value, start, end, column);
    if (end > start && value[end - 1] === BACKSLASH) out.push(BACKSLASH);
  }
}

/**
 * Writes a whole stream.
 *
 * @throws {ManifestWriteError}
 */
export function writePairs(pairs: Iterable<Pair>, options: WriterOptions = {}): Uint8Array {
  const writer = new ManifestWriter(options);
  for (const { name, value } of pairs) writer.pair(name, value);
  return writer.take();
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}

function needsMultiLine(value: Uint8Array): boolean {
  return (
    isBlank(value[0]) || isBlank(value[value.length - 1]) || value.indexOf(LF) >= 0 || value.indexOf(CR) >= 0
  );
}

/** Copies a line with breaks; the rules are those of manifest-format, section 6. */
function appendBroken(out: ByteBuffer, value: Uint8Array, start: number, end: number, column: number): void {
  let copied = start;
  for (let at = start; at < end;) {
    const byte = value[at]!;
    if ((at === start || value[at - 1] !== BACKSLASH) && breaksBefore(value, at, end, column)) {
      out.append(value, copied, at);
      out.push(BACKSLASH);
      out.push(LF);
      copied = at;
      column = 0;
    }
    at += byte < 0x80 ? 1 : sequenceLength(byte);
    column++;
  }
  out.append(value, copied, end);
}

function breaksBefore(value: Uint8Array, at: number, end: number, column: number): boolean {
  if (column <= softLimit) return false;
  if (isBlank(value[at])) {
    let next = at + 1;
    while (next < end && !isBlank(value[next]) && column + next - at <= lineLimit + 1) next++;
    if (column + next - at > (next === end ? lineLimit + 1 : lineLimit)) return true;
  }
  return column >= (at === end - 1 ? lineLimit + 1 : lineLimit);
}

/** Returns the name's length in code points. */
function checkName(name: Uint8Array): number {
  if (name[0] === HASH) throw new ManifestWriteError("name starts with '#'");
  let codePoints = 0;
  for (let at = 0; at < name.length; codePoints++) {
    const byte = name[at]!;
    if (isBlank(byte) || byte === LF || byte === CR) throw new ManifestWriteError("name contains whitespace");
    if (byte === COLON) throw new ManifestWriteError("name contains ':'");
    const length = checkCodePoint(name, at, name.length);
    if (typeof length !== "number") throw new ManifestWriteError(`invalid name: ${length.reason}`);
    at += length;
  }
  return codePoints;
}

function check(bytes: Uint8Array, start: number, end: number, what: "value" | "comment"): void {
  for (let at = start; at < end;) {
    const byte = bytes[at]!;
    if (byte >= SPACE && byte < 0x7f) {
      at++;
      continue;
    }
    const length = checkCodePoint(bytes, at, end);
    if (typeof length !== "number") throw new ManifestWriteError(`invalid ${what}: ${length.reason}`);
    at += length;
  }
}

/** A string's lone surrogates become the bytes they would have, so that they are refused like any other. */
function bytesOf(text: Text): Uint8Array {
  if (typeof text !== "string") return text;
  const bytes = encoder.encode(text);
  if (text.isWellFormed()) return bytes;
  const exact = new ByteBuffer(bytes.length);
  for (const character of text) {
    const codePoint = character.codePointAt(0)!;
    if (codePoint < 0xd800 || codePoint > 0xdfff) exact.appendText(character);
    else exact.append(Uint8Array.of(0xed, 0x80 | ((codePoint >> 6) & 0x3f), 0x80 | (codePoint & 0x3f)));
  }
  return exact.take();
}
