/**
 * Makes foreign text fit for a terminal: of what machines, hosts and compilers say, nothing that a terminal obeys
 * (titles, clipboard, cursor, answers typed back) gets there, but for the colours of a log.
 */
import { stripVTControlCharacters } from "node:util";
import { turning } from "./visible.ts";

const colour = /\x1b\[[0-9;:]*m/y;
const otherSequence =
  /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -/]*[0-Z\\`-~])/y;
/** The start of a sequence that the next piece of text may complete. */
const unfinished = /\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)?$/;
const refused = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g;

const unprintable = new RegExp(`[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f${turning}]`, "g");

const longestSequence = 4096;

/** A line, without colours; other control characters, and what turns the direction of text, show as `?`. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replace(unprintable, "?");
}

/** Filters one stream of text, whose colours may stay. */
export class TerminalText {
  #held = "";
  #colours: boolean;

  /** @param colours false to take out colours, too. */
  constructor(colours: boolean) {
    this.#colours = colours;
  }

  write(piece: string): string {
    let text = this.#held + piece;
    this.#held = "";
    const start = unfinished.exec(text);
    if (start && text.length - start.index < longestSequence) {
      this.#held = text.slice(start.index);
      text = text.slice(0, start.index);
    }
    let out = "";
    for (let at = 0; at < text.length;) {
      const escape = text.indexOf("\x1b", at);
      const end = escape < 0 ? text.length : escape;
      out += text.slice(at, end).replace(refused, "");
      if (escape < 0) break;
      const sequence = match(colour, text, escape);
      if (sequence !== undefined && this.#colours) out += sequence;
      at = escape + (sequence ?? match(otherSequence, text, escape) ?? "\x1b").length;
    }
    return out;
  }
}

function match(expression: RegExp, text: string, at: number): string | undefined {
  expression.lastIndex = at;
  return expression.exec(text)?.[0];
}
