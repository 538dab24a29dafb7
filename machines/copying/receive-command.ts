import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { addOptions, givenValues, withDefaults } from "../../os/command-line/options.ts";
import { placeOptions } from "../image/making-command.ts";

/** The `croft machine receive` command. */
export function receiveCommand(): Command {
  const command = makeCommand("receive", "what 'croft machine copy' of another host starts here");
  addOptions(command, placeOptions);
  command.addHelpText(
    "after",
    `
It speaks with that by its standard input and output, and is of no other use.`,
  );
  return command.action(async () => {
    const { receiveHere } = await import("./receive-here.ts");
    await receiveHere(withDefaults(givenValues(command, placeOptions), placeOptions));
  });
}
