/**
 * Lines of a terminal's output as HTML: colours and weights (ECMA-48 SGR) as classes, all other sequences left out,
 * every character escaped. 256 and RGB colours are shown as the nearest of the sixteen that have a class.
 */
import { escapeHtml } from "../../os/text/html.ts";

interface Style {
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
  /** 0 to 15, or -1 for the default. */
  foreground: number;
  background: number;
}

const plain: Style = {
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  foreground: -1,
  background: -1,
};

const sequence =
  /\x1b(?:\[([0-9;:]*)m|\[[0-?]*[ -/]*[@-~]?|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)/g;
const control = /[\x00-\x08\x0a-\x1f\x7f-\x9f]/g;
const longestLine = 20_000;

/** Renders lines one after the other; a colour lasts beyond the end of its line. */
export class AnsiRenderer {
  #style: Style = { ...plain };

  /** @param state what {@link state} gave where to go on from. */
  constructor(state = "") {
    if (/^[0-9;]{1,60}$/.test(state)) this.#apply(state);
  }

  /** The style in effect, as SGR parameters. */
  get state(): string {
    const { bold, dim, italic, underline, foreground, background } = this.#style;
    const codes: (string | number)[] = [];
    if (bold) codes.push(1);
    if (dim) codes.push(2);
    if (italic) codes.push(3);
    if (underline) codes.push(4);
    if (foreground >= 0) codes.push(`38;5;${foreground}`);
    if (background >= 0) codes.push(`48;5;${background}`);
    return codes.join(";");
  }

  /** One line without its newline; what a carriage return overwrote is left out. */
  render(line: string): string {
    let text = line.replace(/\r+$/, "");
    const cut = text.length > longestLine;
    if (cut) text = text.slice(0, longestLine);
    const back = text.lastIndexOf("\r");
    let out = "";
    let at = 0;
    for (const match of text.matchAll(sequence)) {
      if (match.index > back) out += this.#span(text.slice(Math.max(at, back + 1), match.index));
      if (match[1] !== undefined) this.#apply(match[1]);
      at = match.index + match[0].length;
    }
    out += this.#span(text.slice(Math.max(at, back + 1)));
    return cut ? `${out}…` : out;
  }

  #span(text: string): string {
    if (text === "") return "";
    const escaped = escapeHtml(text.replace(control, "\ufffd"));
    const { bold, dim, italic, underline, foreground, background } = this.#style;
    const classes: string[] = [];
    if (bold) classes.push("b");
    if (dim) classes.push("d");
    if (italic) classes.push("i");
    if (underline) classes.push("u");
    if (foreground >= 0) classes.push(`f${foreground}`);
    if (background >= 0) classes.push(`g${background}`);
    return classes.length === 0 ? escaped : `<span class="${classes.join(" ")}">${escaped}</span>`;
  }

  #apply(parameters: string): void {
    const codes = parameters.split(/[;:]/).map((code) => (code === "" ? 0 : Number(code)));
    for (let at = 0; at < codes.length; at++) {
      const code = codes[at]!;
      if (code === 38 || code === 48) {
        const [colour, used] = extendedColour(codes.slice(at + 1));
        this.#style[code === 38 ? "foreground" : "background"] = colour;
        at += used;
      } else this.#applyOne(code);
    }
  }

  #applyOne(code: number): void {
    const style = this.#style;
    if (code === 0) this.#style = { ...plain };
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = true;
    else if (code === 22) style.bold = style.dim = false;
    else if (code === 23) style.italic = false;
    else if (code === 24) style.underline = false;
    else if (code >= 30 && code <= 37) style.foreground = code - 30;
    else if (code === 39) style.foreground = -1;
    else if (code >= 40 && code <= 47) style.background = code - 40;
    else if (code === 49) style.background = -1;
    else if (code >= 90 && code <= 97) style.foreground = code - 82;
    else if (code >= 100 && code <= 107) style.background = code - 92;
  }
}

/** The colour after 38 or 48, and how many codes it takes. */
function extendedColour([kind, first = 0, green = 0, blue = 0]: readonly number[]): [number, number] {
  if (kind === 2) return [nearest(first, green, blue), 4];
  if (kind !== 5) return [-1, 1];
  if (first < 16) return [first, 2];
  if (first >= 232) return [nearest(...grey((first - 232) * 10 + 8)), 2];
  const level = (step: number) => (step === 0 ? 0 : step * 40 + 55);
  const index = first - 16;
  return [nearest(level(Math.floor(index / 36)), level(Math.floor(index / 6) % 6), level(index % 6)), 2];
}

const grey = (value: number): [number, number, number] => [value, value, value];

/** The nearest of the sixteen colours: one bit a component, and whether it is bright. */
function nearest(red: number, green: number, blue: number): number {
  const brightest = Math.max(red, green, blue);
  if (brightest < 64) return 0;
  if (Math.min(red, green, blue) > brightest * 0.8) return brightest > 220 ? 15 : brightest > 130 ? 7 : 8;
  const bit = (value: number, position: number) => (value > brightest * 0.6 ? 1 << position : 0);
  return (bit(red, 0) | bit(green, 1) | bit(blue, 2)) + (brightest > 200 ? 8 : 0);
}
