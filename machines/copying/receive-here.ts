/** What `croft machine receive` does. */
import { createWriteStream } from "node:fs";
import { Failure } from "../../os/failure.ts";
import { makeLog } from "../../os/log.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { interruptible } from "../image/making-command.ts";
import { openStorage } from "../open-storage.ts";
import type { StorageKind } from "../storage.ts";
import { Conversation, Misunderstanding, senderSilenceSeconds, stepMark } from "./conversation.ts";
import { receiveRevision } from "./receive.ts";
import type { OptionValues } from "../../os/command-line/options.ts";

/**
 * Receives a machine from who speaks by the standard streams.
 *
 * @param values of the command's options.
 * @throws {Failure}
 */
export async function receiveHere(values: OptionValues): Promise<void> {
  const machines = String(values["machines"]);
  const { makeMachinesDirectory } = await import("../image/create-machine.ts");
  await makeMachinesDirectory(machines);
  using interruption = interruptible("receive a machine");
  // Nobody may be there any more to read of it, while there is something to clear away.
  process.stderr.on("error", () => {});
  const output = createWriteStream("", { fd: 1, autoClose: false });
  try {
    await receiveRevision({
      conversation: new Conversation(process.stdin, output, {
        ...{ patienceSeconds: senderSilenceSeconds, signal: interruption.signal },
      }),
      machines,
      storage: await openStorage(machines, values["storage"] as "auto" | StorageKind, makeLog()),
      ...withoutUndefined({ volume: values["volume"] as string | undefined }),
      onStep: (step) => process.stderr.write(`${stepMark}${step}\n`),
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
