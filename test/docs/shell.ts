/** Shell lines of documents as commands: enough of the shell's syntax for what documents show. */

/** A command with its words, quotes and assignments taken off. */
export interface ShownCommand {
  words: string[];
  /** What is said of it behind a `#`. */
  comment: string;
}

/** The commands of a script, those in `$(…)` among them; here-documents are left out. */
export function commandsOf(script: string): ShownCommand[] {
  const lines = script
    .replace(/(<< ?'?(\w+)'?.*\n)(?:.*\n)*?\2$/gm, "$1")
    .replace(/\\\n\s*/g, "")
    .split("\n");
  return lines.flatMap(commandsOfLine);
}

/** What is typed in a session, with its here-documents, without what it answers. */
export function typedIn(session: string): string {
  const typed: string[] = [];
  let end: string | undefined;
  for (const line of session.split("\n")) {
    if (end === undefined && !line.startsWith("$ ")) continue;
    typed.push(end === undefined ? line.slice(2) : line);
    if (end !== undefined) end = line === end ? undefined : end;
    else end = /<<'?(\w+)/.exec(line)?.[1];
  }
  return typed.join("\n");
}

const token =
  /(?<comment>(?<=^|\s)#.*)|(?<end>&&|\|\|?|;|&(?!\d))|(?<redirect>(?<=\s)<\s\S+)|(?<space>\s+)|(?<word>(?:'[^']*'|"(?:\\.|[^"\\])*"|\$\([^)]*\)|\\.|[^\s'"\\;|&])+)/gy;
/** They stand where a command does, and another one follows. */
const keywords = ["while", "until", "do", "done", "if", "then", "fi", "!", "export"];

function commandsOfLine(line: string): ShownCommand[] {
  const commands: ShownCommand[] = [{ words: [], comment: "" }];
  const inner: ShownCommand[] = [];
  const tokens = [...line.matchAll(token)];
  if (tokens.map(([text]) => text).join("") !== line) throw new Error(`cannot take apart: ${line}`);
  for (const { groups } of tokens) {
    const { comment, end, word } = groups!;
    const last = commands.at(-1)!;
    if (comment !== undefined) last.comment = comment.slice(1).trim();
    if (end !== undefined) commands.push({ words: [], comment: "" });
    if (word === undefined) continue;
    for (const [, script] of word.matchAll(/\$\(([^)]*)\)/g)) inner.push(...commandsOf(script!));
    const isPrefix = keywords.includes(word) || /^\w+=/.test(word);
    if (last.words.length > 0 || !isPrefix) last.words.push(unquoted(word));
  }
  return [...commands, ...inner].filter(({ words, comment }) => words.length > 0 || comment !== "");
}

function unquoted(word: string): string {
  return word.replace(/'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)/g, (_, single, double, escaped) =>
    String(single ?? double ?? escaped),
  );
}
