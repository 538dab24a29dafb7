/** The end of a log, as much of it as fits into a page. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { Markup } from "./html.ts";
import { LogLines, type LinePosition, type Problem } from "./log-lines.ts";

const shownBytes = 256 * 1024;

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

/** Reads the end of a log file; one that is not there is empty. */
export async function logExcerpt(path: string, anchor: string): Promise<LogExcerpt> {
  const bytes = (await stat(path).catch(() => undefined))?.size ?? 0;
  const from = await lineStart(path, Math.max(0, bytes - shownBytes));
  const log = new LogLines(anchor, from);
  const pieces: Buffer[] = [];
  if (bytes > from.offset)
    for await (const piece of createReadStream(path, { start: from.offset, end: bytes - 1 }))
      pieces.push(piece as Buffer);
  const lines = log.write(Buffer.concat(pieces));
  return { lines, tail: log.tail(), skipped: from.line - 1, problems: log.problems, position: log.position };
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
