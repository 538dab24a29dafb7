/** Command lines of croft in documents, held against what its commands declare. */
import { CommanderError, type Command } from "commander";
import { subcommands } from "../../bin/subcommands.ts";

/** What placeholders in capitals stand for, where it matters; others are a name. */
const examples: Record<string, string> = {
  N: "2",
  ID: "1",
  SECONDS: "60",
  URL: "https://example.org/hello.git",
  "ADDRESS:PORT": "127.0.0.1:8420",
};

/**
 * Parses a command line as croft does, and performs nothing. `[…]` around a word means that it may be left out, and `…` that
 * something follows.
 *
 * @param isPart running text names a command without all that it needs.
 * @returns what is wrong with it; undefined: nothing.
 */
export async function troubleWith(
  words: readonly string[],
  { isPart = false } = {},
): Promise<string | undefined> {
  const [first = "", ...rest] = filledIn(words[0] === "help" ? [...words.slice(1), "--help"] : words);
  if (first === "") return isPart ? undefined : "it names no command";
  if (first === "--version" || first === "--help" || first === "name") return undefined;
  if (!Object.hasOwn(subcommands, first)) return `there is no command '${first}'`;
  const command = await subcommands[first]!.load();
  performsNothing(command);
  try {
    await command.parseAsync(rest, { from: "user" });
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const isIncomplete =
      /^commander\.(missingArgument|missingMandatoryOptionValue|optionMissingArgument|help)$/;
    return error.exitCode === 0 || (isPart && isIncomplete.test(error.code)) ? undefined : error.message;
  }
}

/** The options of croft's commands, with their dashes. */
export async function allOptions(): Promise<Set<string>> {
  const found = new Set(["--help", "--version"]);
  const collect = (command: Command): void => {
    for (const { long, short } of command.options) for (const one of [long, short]) if (one) found.add(one);
    command.commands.forEach(collect);
  };
  for (const { load } of Object.values(subcommands)) collect(await load());
  return found;
}

function performsNothing(command: Command): void {
  command.configureOutput({ writeOut: () => {}, writeErr: () => {}, outputError: () => {} });
  command.commands.forEach(performsNothing);
  // A command that is only a name for others says so, as it does for whoever types it.
  if (command.commands.length === 0 || command.options.length + command.registeredArguments.length > 0)
    command.action(() => {});
}

function filledIn(words: readonly string[]): string[] {
  return words.flatMap((word) => {
    if (/^(…|\.\.\.|\[(?!--).*\]…?)$/.test(word)) return [];
    const bare = word.replace(/^\[(?=--)|(?<!\[.*)\]$/g, "").replace(/(?<=.)…$/, "");
    return [examples[bare] ?? (/^[A-Z][A-Z0-9:=-]*$/.test(bare) ? "name" : bare)];
  });
}
