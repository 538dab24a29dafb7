/** A log by its lines: some of them to read, and those of the whole that have something in them. */
import { severityOf } from "../../builds/diagnostics.ts";
import type { Markup } from "../html.ts";
import type { LogSource } from "./log-excerpt.ts";
import { LogLines } from "./log-lines.ts";

/** So many lines are shown at once. */
export const linesShown = 2000;
/** Lines that are listed of those that were looked for; all are counted. */
const mostListed = 200;
const longestLine = 64 * 1024;

/** What is looked for: a text, whatever its case, or lines that report something. */
export interface Sought {
  text?: string | undefined;
  severity?: "error" | "warning" | undefined;
}

/** A line that has it. */
interface FoundLine {
  line: number;
  text: string;
}

/** Part of a log. */
export interface LogPart {
  lines: Markup;
  /** Number of the first line that is shown. */
  first: number;
  /** How many lines the log has. */
  total: number;
  found: readonly FoundLine[];
  /** How many there are. */
  foundCount: number;
}

/** Reads it through once. */
export async function readPart(
  log: LogSource,
  anchor: string,
  first: number,
  sought: Sought,
): Promise<LogPart> {
  const search = new Search(sought);
  const shown: Buffer[] = [];
  let total = 0;
  for await (const line of linesOf(log)) {
    total++;
    if (total >= first && total < first + linesShown) shown.push(line);
    search.look(line, total);
  }
  const rendered = new LogLines(anchor, { offset: 0, line: first, style: "" });
  const lines = rendered.write(Buffer.concat(shown.flatMap((line) => [line, newline])));
  return { lines, first, total, found: search.found, foundCount: search.count };
}

const newline = Buffer.from("\n");

/** Without their ends; what has none for too long is broken, as it is where it is shown. */
async function* linesOf(log: LogSource): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const piece of log.read(0, await log.size())) {
    let bytes: Buffer = rest.length > 0 ? Buffer.concat([rest, piece]) : Buffer.from(piece);
    for (;;) {
      const end = bytes.indexOf(0x0a);
      if (end < 0 ? bytes.length <= longestLine : end <= longestLine) {
        if (end < 0) break;
        yield bytes.subarray(0, end);
        bytes = bytes.subarray(end + 1);
      } else {
        yield bytes.subarray(0, longestLine);
        bytes = bytes.subarray(longestLine);
      }
    }
    rest = Buffer.from(bytes);
  }
  if (rest.length > 0) yield rest;
}

class Search {
  readonly found: FoundLine[] = [];
  count = 0;
  readonly #text: string;
  readonly #severity: Sought["severity"];

  constructor({ text = "", severity }: Sought) {
    this.#text = text.toLowerCase();
    this.#severity = severity;
  }

  look(line: Buffer, number: number): void {
    if (this.#text === "" && this.#severity === undefined) return;
    const text = line.toString("utf8", 0, 2000).replace(/\x1b\[[0-9;:]*[mK]/g, "");
    const is =
      this.#text === "" ? severityOf(text) === this.#severity : text.toLowerCase().includes(this.#text);
    if (!is) return;
    this.count++;
    if (this.found.length < mostListed) this.found.push({ line: number, text: text.slice(0, 300) });
  }
}
