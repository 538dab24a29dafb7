import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { addOptions, givenValues, withDefaults } from "../../os/command-line/options.ts";
import { readMachineManifest } from "../manifest-files.ts";
import { existingMachine, interruptible, makingOptions, placeOptions } from "./making-command.ts";

/** The `croft machine update` command. */
export function updateCommand(): Command {
  const command = makeCommand(
    "update",
    "makes a new revision of a machine as its last one was, from newer packages",
  );
  command.argument("<name>", "name of the machine");
  addOptions(command, placeOptions);
  command.addHelpText(
    "after",
    `
If no package has changed there is no new revision, unless the machine has a script. Agents go on with the
revision before until this one is complete; then they bootstrap it. Old ones: croft machine remove --revision.`,
  );
  return command.action((name: string) => update(name, command));
}

async function update(name: string, command: Command): Promise<void> {
  const values = withDefaults(givenValues(command, placeOptions), placeOptions);
  const { paths, current } = existingMachine("update", name, values);
  const { createMachine } = await import("./create-machine.ts");
  const { readRecipe } = await import("./read-recipe.ts");
  const recipe = readRecipe(name, current);
  const exceptId = readMachineManifest(paths, current)?.id;
  using interruption = interruptible(`make machine '${name}'`);
  const options = await makingOptions(name, { ...values, volume: paths.volume }, interruption.signal);
  const revision = await createMachine({ ...options, recipe, ...(exceptId !== undefined && { exceptId }) });
  if (revision === undefined) process.stderr.write(`No package of machine ${name} has changed.\n`);
  process.stdout.write(`${revision ?? current}\n`);
}
