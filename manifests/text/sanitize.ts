/**
 * Makes the logs of a raw result readable: colours, progress bars and broken encodings are no reason to throw a
 * build's result away. Only `*-log` values are touched; elsewhere a refused character stays an error.
 *
 * The walk follows the reader's rules for where values start and end. No refused byte takes part in any of them,
 * nor does what it is replaced by.
 */
import { BACKSLASH, COLON, CR, HASH, LF, SPACE, TAB, replaceRefusedBytes } from "./characters.ts";

const QUESTION_MARK = 0x3f;
const suffix = "-log";

/**
 * The text with what the format refuses in `*-log` values replaced by `?`, in its own bytes: what is returned is their
 * beginning.
 *
 * @param onValue is called at the start of each value; what it throws ends the walk.
 */
export function sanitizeResultText(bytes: Uint8Array, onValue?: () => void): Uint8Array {
  let written = 0;
  for (let at = 0; at < bytes.length;) {
    const start = at;
    /** Start of a log. */
    let log: number | undefined;
    at = skipBlanks(bytes, at);
    if (bytes[at] === HASH || isNewline(bytes, at)) at = lineEnd(bytes, at);
    else {
      const name = at;
      while (at < bytes.length && !isBlank(bytes[at]) && bytes[at] !== COLON && !isNewline(bytes, at)) at++;
      const isLog = endsWithSuffix(bytes, name, at);
      at = skipBlanks(bytes, at);
      if (bytes[at] !== COLON)
        at = lineEnd(bytes, at); // an error, for the reader to report
      else {
        onValue?.();
        at = skipBlanks(bytes, at + 1);
        if (isLog) log = at;
        at = valueEnd(bytes, at);
      }
    }
    at = nextLine(bytes, at);
    if (written < start) bytes.copyWithin(written, start, log ?? at);
    written += (log ?? at) - start;
    if (log !== undefined) written = replaceRefusedBytes(bytes, log, at, written, QUESTION_MARK);
  }
  return bytes.subarray(0, written);
}

/** Where the newline after a value is (or the end), the value starting at `at`. */
function valueEnd(bytes: Uint8Array, at: number): number {
  if (isLone(bytes, at)) return multiLineEnd(bytes, nextLine(bytes, at + 1));
  if (isNewline(bytes, at)) {
    const next = nextLine(bytes, at);
    return isLone(bytes, next) ? multiLineEnd(bytes, nextLine(bytes, next + 1)) : at;
  }
  return simpleEnd(bytes, at);
}

function multiLineEnd(bytes: Uint8Array, at: number): number {
  while (at < bytes.length) {
    if (isLone(bytes, at)) return at + 1;
    at = nextLine(bytes, lineEnd(bytes, at));
  }
  return at;
}

function simpleEnd(bytes: Uint8Array, at: number): number {
  for (;;) {
    const end = lineEnd(bytes, at);
    const joined =
      end > at && bytes[end - 1] === BACKSLASH && (end - 1 === at || bytes[end - 2] !== BACKSLASH);
    if (!joined || end === bytes.length) return end;
    at = nextLine(bytes, end);
    if (isLone(bytes, at)) at = nextLine(bytes, at + 1);
  }
}

function isLone(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === BACKSLASH && (at + 1 >= bytes.length || isNewline(bytes, at + 1));
}

function isNewline(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === LF || bytes[at] === CR;
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}

function skipBlanks(bytes: Uint8Array, at: number): number {
  while (isBlank(bytes[at])) at++;
  return at;
}

function lineEnd(bytes: Uint8Array, at: number): number {
  while (at < bytes.length && !isNewline(bytes, at)) at++;
  return at;
}

/** Past the newline at `at`: CRs and at most one LF. */
function nextLine(bytes: Uint8Array, at: number): number {
  while (bytes[at] === CR) at++;
  return Math.min(bytes[at] === LF ? at + 1 : at, bytes.length);
}

function endsWithSuffix(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start <= suffix.length) return false;
  for (let index = 0; index < suffix.length; index++)
    if (bytes[end - suffix.length + index] !== suffix.charCodeAt(index)) return false;
  return true;
}
