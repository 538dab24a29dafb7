import type { Command } from "commander";
import { createWriteStream } from "node:fs";
import { makeCommand } from "../../os/command-line/command.ts";
import { addOptions, givenValues, withDefaults } from "../../os/command-line/options.ts";
import { Failure } from "../../os/failure.ts";
import { makeLog } from "../../os/log.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { interruptible, placeOptions } from "../image/making-command.ts";
import { openStorage } from "../open-storage.ts";
import type { StorageKind } from "../storage.ts";
import { Conversation, Misunderstanding } from "./conversation.ts";
import { receiveRevision } from "./receive.ts";

/** The `croft machine receive` command. */
export function receiveCommand(): Command {
  const command = makeCommand("receive", "what 'croft machine copy' of another host starts here");
  addOptions(command, placeOptions);
  command.addHelpText(
    "after",
    `
It speaks with that by its standard input and output, and is of no other use.`,
  );
  return command.action(() => receive(command));
}

async function receive(command: Command): Promise<void> {
  const values = withDefaults(givenValues(command, placeOptions), placeOptions);
  const machines = String(values["machines"]);
  const { makeMachinesDirectory } = await import("../image/create-machine.ts");
  await makeMachinesDirectory(machines);
  using interruption = interruptible("receive a machine");
  // Nobody may be there any more to read of it, while there is something to clear away.
  process.stderr.on("error", () => {});
  const output = createWriteStream("", { fd: 1, autoClose: false });
  try {
    await receiveRevision({
      conversation: new Conversation(process.stdin, output),
      machines,
      storage: await openStorage(machines, values["storage"] as "auto" | StorageKind, makeLog()),
      ...withoutUndefined({ volume: values["volume"] as string | undefined }),
      onStep: (step) => process.stderr.write(`${step}\n`),
      signal: interruption.signal,
    });
  } catch (error) {
    interruption.signal.throwIfAborted();
    if (!(error instanceof Misunderstanding)) throw error;
    throw new Failure("receive a machine", `of the other end: ${error.message}`, { cause: error });
  } finally {
    process.stdin.destroy();
  }
}
