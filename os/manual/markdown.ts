/** The generated parts of the manual's pages in Markdown. */
import { describeDefault, describeRange, type OptionDeclaration } from "../command-line/options.ts";
import { optionGroups, optionText, type Block } from "./page.ts";

/**
 * Replaces what stands between `<!-- begin NAME -->` and `<!-- end NAME -->`.
 *
 * @throws {Error} if the markers are not there.
 */
export function replacePart(document: string, name: string, content: string): string {
  const [begin, end] = [`<!-- begin ${name} -->`, `<!-- end ${name} -->`];
  const from = document.indexOf(begin);
  const to = document.indexOf(end);
  if (from < 0 || to < from) throw new Error(`there is no ${begin} … ${end}`);
  return `${document.slice(0, from + begin.length)}\n\n${content.trim()}\n\n${document.slice(to)}`;
}

/** Blocks of a section. */
export function formatMarkdown(blocks: readonly Block[]): string {
  return blocks.map(formatBlock).join("\n\n");
}

function formatBlock(block: Block): string {
  if (typeof block === "string") return block;
  if ("code" in block) return `\`\`\`${block.language}\n${block.code}\n\`\`\``;
  if ("options" in block)
    return optionGroups(block.options)
      .map(({ title, options }) => `### ${title}\n\n${optionTable(options)}`)
      .join("\n\n");
  return table(["", ""], block.terms);
}

function optionTable(options: readonly OptionDeclaration[]): string {
  return table(
    ["option", "default", "meaning"],
    options.map((option) => {
      const { name, kind, value = "VALUE" } = option;
      const byDefault = describeDefault(option);
      const plain = option.defaultWords === undefined && byDefault !== undefined;
      return [
        kind === "flag" ? `\`--${name}\`` : `\`--${name} ${value}\``,
        plain ? `\`${byDefault}\`` : (byDefault ?? ""),
        [optionText(option), ...remarks(option)].join(" "),
      ];
    }),
  );
}

function remarks(option: OptionDeclaration): string[] {
  return [
    ...(option.kind === "integer" ? [`A whole number ${describeRange(option)}.`] : []),
    ...(option.kind === "choice" ? [`One of ${option.choices!.map((one) => `\`${one}\``).join(", ")}.`] : []),
    ...(option.repeat ? ["May repeat."] : []),
    ...(option.commandLineOnly ? ["Only on the command line."] : []),
  ];
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [row(heads), row(heads.map(() => "---")), ...rows.map(row)].join("\n");
}
