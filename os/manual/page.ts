/** What a page of the manual says, free of any format; roff.ts and markdown.ts put it into one. */
import type { OptionDeclaration } from "../command-line/options.ts";

/** Running text has words in `backquotes` as they are typed; nothing else is markup. */
export type Block =
  | string
  /** Words with what they mean. */
  | { terms: readonly (readonly [term: string, text: string])[] }
  /** Lines as they are. */
  | { code: string; language: "sh" | "yaml" }
  /** Every option, under its heading. */
  | { options: readonly OptionDeclaration[] };

/** A section of a page. */
export interface Section {
  title: string;
  blocks: readonly Block[];
}

/** A page of the manual. */
export interface ManualPage {
  /** E.g. `croft-agent`. */
  name: string;
  /** Of the manual: 1 for commands. */
  section: number;
  summary: string;
  sections: readonly Section[];
  /** Of what it describes. */
  version: string;
}

/** A command line that shows how something is done. */
export interface Example {
  prose: string;
  command: string;
}

/** Options by their headings, in the order of both. */
export function optionGroups(
  options: readonly OptionDeclaration[],
): { title: string; options: OptionDeclaration[] }[] {
  const groups: { title: string; options: OptionDeclaration[] }[] = [];
  for (const option of options) {
    const title = option.group ?? "Options";
    let group = groups.find((other) => other.title === title);
    if (!group) groups.push((group = { title, options: [] }));
    group.options.push(option);
  }
  return groups;
}

/** Prose and details of an option as sentences. */
export function optionText({ prose, details }: OptionDeclaration): string {
  return details === undefined ? sentence(prose) : `${sentence(prose)} ${details}`;
}

/** Prose, which begins in lower case and has no full stop, as a sentence; nothing stays nothing. */
export function sentence(prose: string): string {
  return prose === "" ? "" : `${prose[0]!.toUpperCase()}${prose.slice(1)}.`;
}
