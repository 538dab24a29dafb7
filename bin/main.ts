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

const [name = "", ...args] = asked(process.argv.slice(2));
const subcommand = Object.hasOwn(subcommands, name) ? subcommands[name] : undefined;
process.exitCode = subcommand
  ? await runCommand(loaded(subcommand), args)
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
