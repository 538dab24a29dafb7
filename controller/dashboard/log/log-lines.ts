/** Pieces of a log as numbered HTML lines. */
import { escapeHtml } from "../../../os/text/html.ts";
import { severityOf, type Severity } from "../../builds/diagnostics.ts";
import { AnsiRenderer } from "../ansi.ts";
import { Markup } from "../html.ts";

/** A line that never ends is broken here, in bytes. */
const longestLineBytes = 64 * 1024;

/** A line that reports something. */
export interface Problem {
  severity: Severity;
  /** The line's id in the page. */
  id: string;
  text: string;
}

const problemsKept = 20;

/** Where a log goes on: in bytes, in lines, and in which colours. */
export interface LinePosition {
  offset: number;
  line: number;
  style: string;
}

/** Takes a log in pieces of bytes and gives it back in lines. */
export class LogLines {
  readonly #anchor: string;
  readonly #renderer: AnsiRenderer;
  /** The first few of the lines that report something, errors and warnings apart. */
  readonly problems: Problem[] = [];
  #partial: Buffer = Buffer.alloc(0);
  #offset: number;
  #line: number;

  /** @param anchor opens the ids of the lines, unique in the page. */
  constructor(anchor: string, from: LinePosition = { offset: 0, line: 1, style: "" }) {
    this.#anchor = anchor;
    this.#renderer = new AnsiRenderer(from.style);
    this.#offset = from.offset;
    this.#line = from.line;
  }

  /** Where the next line starts. */
  get position(): LinePosition {
    return { offset: this.#offset, line: this.#line, style: this.#renderer.state };
  }

  /** Takes a piece and gives the lines that are complete now. */
  write(piece: Buffer): Markup {
    let bytes = this.#partial.length > 0 ? Buffer.concat([this.#partial, piece]) : piece;
    const lines: string[] = [];
    for (;;) {
      const newline = bytes.indexOf(0x0a);
      const end = newline < 0 ? longestLineBytes : Math.min(newline, longestLineBytes);
      if (newline < 0 && bytes.length <= end) break;
      lines.push(this.#render(bytes.subarray(0, end)));
      const next = end === newline ? end + 1 : end;
      this.#offset += next;
      bytes = bytes.subarray(next);
    }
    this.#partial = Buffer.from(bytes);
    return new Markup(lines.join(""));
  }

  /** The line that has no end yet; giving it does not take it. */
  tail(): Markup {
    if (this.#partial.length === 0) return new Markup("");
    const { line, style } = this.position;
    return new Markup(renderLine(this.#anchor, line, this.#partial, new AnsiRenderer(style)));
  }

  #render(bytes: Buffer): string {
    const line = this.#line++;
    const problem = problemIn(this.#anchor, line, bytes);
    if (
      problem &&
      this.problems.filter(({ severity }) => severity === problem.severity).length < problemsKept
    )
      this.problems.push(problem);
    return renderLine(this.#anchor, line, bytes, this.#renderer, problem);
  }
}

function problemIn(anchor: string, line: number, bytes: Buffer): Problem | undefined {
  const text = bytes.toString("utf8", 0, 2000).replace(/\x1b\[[0-9;]*m/g, "");
  const severity = severityOf(text);
  return severity && { severity, id: lineId(anchor, line), text: text.slice(0, 300) };
}

function lineId(anchor: string, line: number): string {
  return `${anchor}-L${line}`;
}

function renderLine(
  anchor: string,
  line: number,
  bytes: Buffer,
  renderer: AnsiRenderer,
  problem = problemIn(anchor, line, bytes),
): string {
  const id = escapeHtml(lineId(anchor, line));
  const kind = problem ? ` class="${problem.severity}"` : "";
  return `<div id="${id}"${kind}><a href="#${id}" tabindex="-1">${line}</a><code>${renderer.render(bytes.toString("utf8"))}\n</code></div>`;
}
