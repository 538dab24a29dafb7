/** The `croft` command. */
import type { Command } from "commander";
import { assertCompiledPackages } from "../os/compiled-packages.ts";
import { endOnBugs, makeCommand, runCommand } from "../os/command-line/command.ts";
import { nearestWord } from "../os/command-line/nearest.ts";
import { UsageFailure } from "../os/failure.ts";
import { packageVersion } from "../os/files/package.ts";
import { subcommands, type Subcommand } from "./subcommands.ts";

endOnBugs();
// Whoever reads our output may have enough of it (`croft … | head`).
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit();
  throw error;
});
// What went wrong is told by the exit status, too (`croft … 2>&1 | head`).
process.stderr.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

const [name = "", ...args] = asked(process.argv.slice(2));
const subcommand = Object.hasOwn(subcommands, name) ? subcommands[name] : undefined;
process.exitCode = subcommand
  ? await runSubcommand(loaded(subcommand), args)
  : await runCommand(overview(), name === "" ? [] : [name, ...args]);

/** `croft help COMMAND…` asks for what `croft COMMAND… --help` tells. */
function asked(given: readonly string[]): readonly string[] {
  const [first, ...rest] = given;
  if (first !== "help") return given;
  const [command = "help"] = rest;
  if (command === "help") return ["--help"];
  // Of a command that there is not, there is nothing to tell but that.
  return Object.hasOwn(subcommands, command) ? [...rest, "--help"] : rest;
}

async function runSubcommand(command: Promise<Command>, given: readonly string[]): Promise<number> {
  // What it throws while it is loaded is told as what it throws later.
  const known = await command.then((ready) => withoutHelpForUnknown(ready, given)).catch(() => given);
  return runCommand(command, known);
}

/** Asked for help for a part that a command has not, that would tell of the whole. */
function withoutHelpForUnknown(command: Command, given: readonly string[]): readonly string[] {
  const [word, ...rest] = given;
  const isPart = command.commands.length > 0 && command.registeredArguments.length === 0;
  if (word === undefined || word.startsWith("-") || !isPart) return given;
  const part = command.commands.find((one) => one.name() === word);
  return part ? [word, ...withoutHelpForUnknown(part, rest)] : given.filter((one) => one !== "--help");
}

async function loaded({ isCompiled, load }: Subcommand): Promise<Command> {
  if (isCompiled) assertCompiledPackages();
  return load();
}

function overview(): Command {
  const croft = makeCommand("croft", "a build farm: clean virtual machines, results that are never lost");
  croft.version(packageVersion).usage("COMMAND [OPTIONS]").helpCommand(false);
  for (const [command, { summary }] of Object.entries(subcommands))
    croft.command(command).description(summary);
  croft.addHelpText("after", "\nEach command explains itself: croft help COMMAND, or croft COMMAND --help");
  // Its arguments, and options that it would have, are not looked at: the word is what is wrong.
  croft
    .argument("[command...]")
    .allowUnknownOption(!name.startsWith("-"))
    .action(([unknown]: string[]) => {
      if (unknown === undefined) return croft.help({ error: true });
      const meant = nearestWord(unknown, [...Object.keys(subcommands), "help"]);
      throw new UsageFailure(`run 'croft ${unknown}'`, "there is no such command", {
        hints: [meant === undefined ? "See: croft --help" : `Did you mean: croft ${meant}`],
      });
    });
  return croft;
}
