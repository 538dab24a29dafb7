/** Pages of the manual for man(1), in the macros of man(7) as groff and mandoc both know them. */
import { describeNotes, describeRange, type OptionDeclaration } from "../command-line/options.ts";
import { optionGroups, optionText, type Block, type ManualPage } from "./page.ts";

/**
 * Writes a page.
 *
 * @param date of its last change, as `2026-11-22`
 */
export function formatRoff(page: ManualPage, date: string): string {
  const lines = [
    '.\\" Made from the declaration of the options and the text beside it: npm run docs',
    `.TH ${quote(page.name.toUpperCase())} ${page.section} "${date}" ${quote(`croft ${page.version}`)} "croft manual"`,
    // Words are neither hyphenated nor spread over the line: option names would be.
    ".nh",
    ".ad l",
    ".SH NAME",
    `${escape(page.name)} \\- ${escape(page.summary)}`,
  ];
  for (const { title, blocks } of page.sections) {
    lines.push(`.SH ${quote(title.toUpperCase())}`);
    blocks.forEach((block, index) => lines.push(...formatBlock(block, index === 0)));
  }
  return `${lines.join("\n")}\n`;
}

/** The date in a page's title line; undefined if it is no page. */
export function dateOf(roff: string): string | undefined {
  return /^\.TH "[^"]*" \d "([^"]*)"/m.exec(roff)?.[1];
}

function formatBlock(block: Block, first: boolean): string[] {
  if (typeof block === "string") return [...(first ? [] : [".PP"]), ...text(block)];
  if ("code" in block) {
    const lines = block.code.split("\n").map((line) => (line === "" ? ".PP" : literal(line)));
    return [...(first ? [] : [".PP"]), ".RS 4", ".nf", ...lines, ".fi", ".RE"];
  }
  if ("terms" in block)
    return block.terms.flatMap(([term, meaning]) => [".TP", inline(term), ...text(meaning)]);
  return optionGroups(block.options).flatMap(({ title, options }) => [
    `.SS ${quote(title)}`,
    ...options.flatMap(formatOption),
  ]);
}

function formatOption(option: OptionDeclaration): string[] {
  const value = option.kind === "flag" ? "" : ` \\fI${escape(option.value ?? "VALUE")}\\fR`;
  const notes = describeNotes(option);
  if (option.kind === "integer") notes.unshift(`a whole number ${describeRange(option)}`);
  const facts = notes.length ? ` (${notes.join("; ")})` : "";
  return [".TP", `\\fB\\-\\-${escape(option.name)}\\fR${value}`, ...text(optionText(option) + facts)];
}

/** Each sentence begins a line, as is the custom; long ones go on in the next. */
function text(prose: string): string[] {
  return prose.split(/(?<=[.:;])\s+(?=[A-Z])/).flatMap((sentence) => wrapped(inline(sentence)));
}

function wrapped(line: string): string[] {
  return (line.match(/\S.{0,75}\S(?= |$)|\S+/g) ?? []).map(guard);
}

function inline(prose: string): string {
  const parts = prose.split("`").map((part, index) => (index % 2 ? `\\fB${escape(part)}\\fR` : escape(part)));
  return guard(parts.join(""));
}

const literal = (line: string) => guard(escape(line));
/** A dot or an apostrophe at the beginning of a line would be a request. */
const guard = (line: string) => line.replace(/^(?=[.'])/, "\\&");
const quote = (word: string) => `"${escape(word).replaceAll('"', "\\(dq")}"`;

function escape(plain: string): string {
  return plain
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq")
    .replaceAll("~", "\\(ti")
    .replaceAll("^", "\\(ha")
    .replaceAll("…", "\\&...")
    .replace(
      /[^\x20-\x7e]/gu,
      (other) => `\\[u${other.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}]`,
    );
}
