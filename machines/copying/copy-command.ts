import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import {
  addOptions,
  givenValues,
  withDefaults,
  type OptionDeclaration,
} from "../../os/command-line/options.ts";
import { placeOptions } from "../image/making-command.ts";
import { checkMachineName } from "../names.ts";

const copyOptions: readonly OptionDeclaration[] = [
  ...placeOptions.filter(({ name }) => name !== "storage"),
  { name: "revision", kind: "integer", value: "R", prose: "this revision, instead of the current one" },
  {
    name: "to-machines",
    kind: "string",
    value: "DIR",
    prose: "directory with the volumes of machines on the other host; without it, the same as here",
  },
  {
    name: "to-volume",
    kind: "string",
    value: "NAME",
    check: checkMachineName,
    prose: "volume there; without it, the one that has the machine, else the first",
  },
  {
    name: "croft",
    kind: "string",
    value: "COMMAND",
    default: "croft",
    prose: "how croft is called there, in the words of its shell, such as 'sudo croft'",
  },
];

/** The `croft machine copy` command. */
export function copyCommand(): Command {
  const command = makeCommand("copy", "copies the current revision of a machine to another host, by ssh");
  command.argument("<name>", "name of the machine");
  command.argument("<host>", "the other host, as ssh knows it");
  addOptions(command, copyOptions);
  command.addHelpText(
    "after",
    `
Only what the machine's current revision there does not have is sent. It is published there when it is complete, or made
the current one, if it is there already. The host needs croft.`,
  );
  return command.action(async (name: string, host: string) => {
    const { copyMachine } = await import("./copy.ts");
    await copyMachine(name, host, withDefaults(givenValues(command, copyOptions), copyOptions));
  });
}
