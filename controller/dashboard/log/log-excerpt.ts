/** The end of a log, as much of it as fits into a page. */
import type { Markup } from "../html.ts";
import { LogLines, type LinePosition, type Problem } from "./log-lines.ts";

const shownBytes = 256 * 1024;
/** A line takes a hundred bytes of a page even if it is empty. */
const shownLines = 5000;
/** With more logs than these in a page, each gets less. */
const logsInFull = 4;

/** Where a log is read from. */
export interface LogSource {
  /** In bytes. */
  size(): Promise<number>;
  /** A part, both ends in bytes, the end exclusive. */
  read(start: number, end: number): AsyncIterable<Uint8Array>;
}

/** What an operation printed, where it is stored. */
export function logOf(
  blobs: { read(digest: string, start: number, end: number): AsyncIterable<Uint8Array> },
  { log_bytes, log_digest }: { log_bytes: number; log_digest: string },
): LogSource {
  return {
    size: () => Promise.resolve(log_bytes),
    read: (start, end) => blobs.read(log_digest, start, end),
  };
}

/** A rendered end of a log. */
export interface LogExcerpt {
  lines: Markup;
  /** The last line, if it has no end yet. */
  tail: Markup;
  /** Lines before those shown. */
  skipped: number;
  problems: readonly Problem[];
  /** Where the log goes on after the lines, the tail not among them. */
  position: LinePosition;
}

/**
 * Reads the end of a log.
 *
 * @param share how many logs share the page: each gets its part of what fits.
 */
export async function logExcerpt(log: LogSource, anchor: string, share = 1): Promise<LogExcerpt> {
  const end = await lastLines(log, Math.max(1, share / logsInFull));
  const from = await lineStart(log, end.start);
  const shown = new LogLines(anchor, from);
  const lines = shown.write(end.bytes.subarray(from.offset - end.start));
  const { problems, position } = shown;
  return { lines, tail: shown.tail(), skipped: from.line - 1, problems, position };
}

/** The last bytes of a log, at most so many and no more lines than are shown, and where they start. */
async function lastLines(log: LogSource, share: number): Promise<{ bytes: Buffer; start: number }> {
  const size = await log.size();
  if (size === 0) return { bytes: Buffer.alloc(0), start: 0 };
  const start = Math.max(0, size - Math.floor(shownBytes / share));
  const pieces: Uint8Array[] = [];
  for await (const piece of log.read(start, size)) pieces.push(piece);
  const bytes = Buffer.concat(pieces);
  let cut = bytes.length;
  for (let line = 0; line <= shownLines / share && cut > 0; line++) cut = bytes.lastIndexOf(0x0a, cut - 1);
  return cut > 0 ? { bytes: bytes.subarray(cut + 1), start: start + cut + 1 } : { bytes, start };
}

/** The start of the first line at or after an offset, with its number. */
async function lineStart(log: LogSource, offset: number): Promise<LinePosition> {
  if (offset === 0) return { offset: 0, line: 1, style: "" };
  let line = 1;
  let at = 0;
  for await (const piece of log.read(0, offset + shownBytes)) {
    for (let next = piece.indexOf(0x0a); next >= 0; next = piece.indexOf(0x0a, next + 1)) {
      line++;
      if (at + next + 1 >= offset) return { offset: at + next + 1, line, style: "" };
    }
    at += piece.length;
    if (at > offset + shownBytes / 2) break; // one line longer than what is shown
  }
  return { offset, line, style: "" };
}
