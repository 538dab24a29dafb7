/** `croft controller`. */
import type { Command } from "commander";
import { makeCommand } from "../os/command-line/command.ts";
import { addOptions, givenValues } from "../os/command-line/options.ts";
import { controllerOptions } from "./controller-options.ts";
import { installCommand } from "./install.ts";
import { backupCommand } from "./client/upkeep/backup.ts";
import { migrateCommand } from "./client/upkeep/migrate.ts";
import { pruneCommand } from "./client/upkeep/prune.ts";
import { restoreCommand } from "./client/upkeep/restore.ts";

/** The command, for the table of commands. */
export function controllerCommand(): Command {
  const command = makeCommand("croft controller", "give agents their tasks and people their results");
  // Options after the name of a subcommand are its own.
  command
    .enablePositionalOptions()
    .helpCommand(false)
    .addCommand(installCommand())
    .addCommand(pruneCommand())
    .addCommand(backupCommand())
    .addCommand(restoreCommand())
    .addCommand(migrateCommand());
  return addOptions(command, controllerOptions).action(async () => {
    // Most of croft's modules are the controller's: its other commands do without them.
    const { runController } = await import("./run-controller.ts");
    await runController(givenValues(command, controllerOptions));
  });
}
