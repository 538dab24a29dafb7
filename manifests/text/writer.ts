/**
 * The writer. A short ASCII value goes from the string straight into the output. Any other is encoded once, looked
 * through four bytes at a time, and copied in as few pieces as there are things to insert: breaks, and backslashes.
 */
import { ManifestWriteError } from "../error.ts";
import { ByteBuffer } from "./byte-buffer.ts";
import { BACKSLASH, COLON, CR, HASH, LF, SPACE, TAB, checkCodePoint, sequenceLength } from "./characters.ts";
import { cutNear } from "./cut.ts";
import { PlainScan } from "./plain-scan.ts";
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
/** Code units that are written at a time. */
export const pieceLength = 256 * 1024;
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
  /** Names of ASCII characters that were written already, and are short enough for simple values. */
  readonly #plainNames = new Set<string>();

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
      if (typeof name === "string" && typeof value === "string" && this.#short(name, value)) return;
      this.#named(bytesOf(name), bytesOf(value));
      if (typeof name === "string") this.#remember(name);
    } catch (error) {
      this.#out.length = start; // half a pair would read as something else
      throw error;
    }
  }

  /**
   * Writes a pair a piece at a time, so that its caller can do other things between; for long lines, whose breaks do not
   * depend on what came before. What {@link take} gives after each piece is a part of the pair.
   *
   * @throws {ManifestWriteError} as {@link pair} does, but half of the pair may be written then.
   */
  *pieces(name: string, value: string, length = pieceLength): Generator<void> {
    if (value.length <= length || !this.#longLines || name === "" || this.#state !== "body")
      return this.pair(name, value);
    const bytes = bytesOf(name);
    const isSimple =
      checkName(bytes) + 2 <= nameLimit &&
      !/[\r\n]/.test(value) &&
      !isBlank(value.charCodeAt(0)) &&
      !isBlank(value.charCodeAt(value.length - 1));
    this.#out.append(bytes);
    this.#out.appendText(isSimple ? ": " : ":\n\\\n");
    for (let start = 0, end = 0; start < value.length; start = end) {
      end = cutNear(value, Math.min(start + length, value.length));
      const piece = bytesOf(value.slice(start, end));
      this.#lines(piece, 0, survey(piece, "value"), end === value.length);
      yield;
    }
    this.#out.appendText(isSimple ? "\n" : "\n\\\n");
  }

  /** How many bytes {@link take} would give. */
  get length(): number {
    return this.#out.length;
  }

  /**
   * Writes a comment line.
   *
   * @throws {ManifestWriteError} after the end of the stream, or if it has a character that the format refuses.
   */
  comment(text: Text): void {
    if (this.#state === "ended") throw new ManifestWriteError("serialization after eos");
    const bytes = bytesOf(text);
    survey(bytes, "comment");
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

  /** Writes a pair whose value fits on the line as it is; returns false if it does not. */
  #short(name: string, value: string): boolean {
    const length = name.length + value.length + 3;
    if (length > lineLimit || value === "" || !this.#plainNames.has(name)) return false;
    const last = value.charCodeAt(value.length - 1);
    if (value.charCodeAt(0) === SPACE || last === SPACE || last === BACKSLASH) return false;
    const out = this.#out;
    out.reserve(length);
    const bytes = out.bytes;
    let at = out.length;
    for (let index = 0; index < name.length; index++) bytes[at++] = name.charCodeAt(index);
    bytes[at++] = COLON;
    bytes[at++] = SPACE;
    for (let index = 0; index < value.length; index++) {
      const unit = value.charCodeAt(index);
      if (unit < SPACE || unit > 0x7e) return false;
      bytes[at++] = unit;
    }
    bytes[at++] = LF;
    out.length = at;
    return true;
  }

  #remember(name: string): void {
    if (name.length < nameLimit - 1 && this.#plainNames.size < 1000 && /^[!-~]+$/.test(name))
      this.#plainNames.add(name);
  }

  #named(name: Uint8Array, value: Uint8Array): void {
    const out = this.#out;
    const column = checkName(name) + 1;
    out.append(name);
    out.push(COLON);
    if (value.length > 0) {
      const found = survey(value, "value");
      const simple =
        column + 1 <= nameLimit && !found.newlines && !isBlank(value[0]) && !isBlank(value.at(-1));
      if (simple) out.push(SPACE);
      else out.appendText("\n\\\n");
      this.#lines(value, simple ? column + 1 : 0, found);
      if (!simple) out.appendText("\n\\");
    }
    out.push(LF);
  }

  /**
   * The lines of a value; the first output line has `column` code points already.
   *
   * @param isEnd the value ends with these bytes.
   */
  #lines(value: Uint8Array, column: number, found: Survey, isEnd = true): void {
    const out = this.#out;
    /** Start of what is not written yet. */
    let from = 0;
    for (let start = 0; this.#longLines ? found.returns || found.escapes : true; column = 0) {
      const end = endOfLine(value, start, found);
      if (!this.#longLines && column + end - start > lineLimit) {
        out.append(value, from, start);
        appendBroken(out, value, start, end, column, found.high);
        from = end;
      }
      if (end > start && value[end - 1] === BACKSLASH && (isEnd || end < value.length)) {
        out.append(value, from, end);
        out.push(BACKSLASH);
        from = end;
      }
      if (end === value.length) break;
      start = end + 1;
      if (value[end] === LF) continue;
      out.append(value, from, end);
      out.push(LF);
      if (value[start] === LF) start++;
      from = start;
    }
    out.append(value, from, value.length);
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

function endOfLine(value: Uint8Array, start: number, found: Survey): number {
  let end = start;
  if (found.returns) while (end < value.length && value[end] !== LF && value[end] !== CR) end++;
  else {
    end = found.newlines ? value.indexOf(LF, start) : -1;
    if (end < 0) end = value.length;
  }
  return end;
}

/** Copies a line with breaks; the rules are those of manifest-format, section 6. */
function appendBroken(
  out: ByteBuffer,
  value: Uint8Array,
  start: number,
  end: number,
  column: number,
  high: boolean,
): void {
  let copied = start;
  for (let at = start; at < end;) {
    if (!high && column <= softLimit) {
      at += softLimit + 1 - column; // no break is possible before
      column = softLimit + 1;
      if (at >= end) break;
    }
    const byte = value[at]!;
    if (value[at - 1] !== BACKSLASH && breaksBefore(value, at, end, column)) {
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

/** What a value has in it that matters for writing it. */
interface Survey {
  /** CR or LF. */
  newlines: boolean;
  /** CR. */
  returns: boolean;
  /** A line may end in a backslash. */
  escapes: boolean;
  /** Characters beyond ASCII. */
  high: boolean;
}

/** Looks through a value; refuses what the format refuses. */
function survey(bytes: Uint8Array, what: "value" | "comment"): Survey {
  const found = { newlines: bytes.includes(LF), returns: false, escapes: false, high: false };
  const scan = new PlainScan(bytes);
  const { length } = bytes;
  for (let at = scan.from(0, length); at < length; at = scan.from(at, length)) {
    if (bytes[at] === CR) found.newlines = found.returns = true;
    else found.high = true;
    at += checked(bytes, at, what);
  }
  found.escapes = found.returns || bytes[length - 1] === BACKSLASH || hasEscape(bytes);
  return found;
}

function hasEscape(bytes: Uint8Array): boolean {
  for (let at = bytes.indexOf(BACKSLASH); at >= 0; at = bytes.indexOf(BACKSLASH, at + 1))
    if (bytes[at + 1] === LF) return true;
  return false;
}

/** The length of the character at `at`; its line is what it must be complete in. */
function checked(bytes: Uint8Array, at: number, what: "value" | "comment"): number {
  const length = checkCodePoint(bytes, at, bytes.length);
  if (typeof length === "number") return length;
  let end = at;
  while (end < bytes.length && bytes[end] !== LF && bytes[end] !== CR) end++;
  const refusal = checkCodePoint(bytes, at, what === "comment" ? bytes.length : end);
  throw new ManifestWriteError(`invalid ${what}: ${(refusal as { reason: string }).reason}`);
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
