/**
 * The working tree that somebody has submitted: the controller has its archive for the session alone, and a machine need not
 * reach the controller. So the agent fetches it, and the machine gets it among the files of its exchange.
 */
import { join } from "node:path";
import { treeMost } from "../../../manifests/limits.ts";
import { treeArchiveName } from "../../../manifests/working-tree.ts";
import type { Log } from "../../../os/log.ts";
import { formatBytes } from "../../../os/text/size.ts";
import type { ReceivedTask } from "../../task-state/received-task.ts";
import type { PerformingContext } from "../context.ts";

/** The body has to be something: who asks, and for what, stands beside it. */
const body = Buffer.from("tree\n");

/**
 * Puts the archive where the machine finds it, if the task has one.
 *
 * @throws {Failure} if it cannot be fetched; the signal's reason if aborted.
 */
export async function provideTree(
  { client, signer, directories }: Pick<PerformingContext, "client" | "signer" | "directories">,
  { treeUrl }: Pick<ReceivedTask, "treeUrl">,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  if (treeUrl === undefined) return;
  const path = join(directories.get, treeArchiveName);
  const headers = async (): Promise<Record<string, string>> =>
    signer ? { "croft-proof": await signer.prove({ method: "POST", url: treeUrl, body }, signal) } : {};
  const bytes = await client.download(
    treeUrl,
    { body, headers, path, mostBytes: treeMost.archiveBytes },
    signal,
  );
  log.step({ size: formatBytes(bytes) }, "working tree fetched");
}
