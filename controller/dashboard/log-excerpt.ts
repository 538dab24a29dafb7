/** The end of a log, as much of it as fits into a page. */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import type { Markup } from "./html.ts";
import { LogLines, type LinePosition, type Problem } from "./log-lines.ts";

const shownBytes = 256 * 1024;
/** A line takes a hundred bytes of a page even if it is empty. */
const shownLines = 5000;
/** With more logs than these in a page, each gets less. */
const logsInFull = 4;

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
 * Reads the end of a log file; one that is not there is empty.
 *
 * @param share how many logs share the page: each gets its part of what fits.
 */
export async function logExcerpt(path: string, anchor: string, share = 1): Promise<LogExcerpt> {
  const end = await lastLines(path, Math.max(1, share / logsInFull));
  const from = await lineStart(path, end.start);
  const log = new LogLines(anchor, from);
  const lines = log.write(end.bytes.subarray(from.offset - end.start));
  return { lines, tail: log.tail(), skipped: from.line - 1, problems: log.problems, position: log.position };
}

/** The last bytes of a file, at most so many and no more lines than are shown, and where they start. */
async function lastLines(path: string, share: number): Promise<{ bytes: Buffer; start: number }> {
  const file = await open(path).catch(() => undefined);
  if (!file) return { bytes: Buffer.alloc(0), start: 0 };
  await using held = file;
  const { size } = await held.stat();
  const start = Math.max(0, size - Math.floor(shownBytes / share));
  const { buffer, bytesRead } = await held.read(Buffer.alloc(size - start), { position: start });
  const bytes = buffer.subarray(0, bytesRead);
  let cut = bytes.length;
  for (let line = 0; line <= shownLines / share && cut > 0; line++) cut = bytes.lastIndexOf(0x0a, cut - 1);
  return cut > 0 ? { bytes: bytes.subarray(cut + 1), start: start + cut + 1 } : { bytes, start };
}

/** The start of the first line at or after an offset, with its number. */
async function lineStart(path: string, offset: number): Promise<LinePosition> {
  if (offset === 0) return { offset: 0, line: 1, style: "" };
  let line = 1;
  let at = 0;
  for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
    for (let next = piece.indexOf(0x0a); next >= 0; next = piece.indexOf(0x0a, next + 1)) {
      line++;
      if (at + next + 1 >= offset) return { offset: at + next + 1, line, style: "" };
    }
    at += piece.length;
    if (at > offset + shownBytes / 2) break; // one line longer than what is shown
  }
  return { offset, line, style: "" };
}
