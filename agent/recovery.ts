/** Cleans up after a predecessor of this instance that crashed, and reports the task it was performing. */
import { rm } from "node:fs/promises";
import { killStaleVirtualMachines } from "../machines/qemu/runtime-files.ts";
import { removeStaleSnapshots } from "../machines/stale.ts";
import { parseTask } from "../manifests/task.ts";
import type { Context } from "./context.ts";
import { agentResult } from "./result.ts";
import { record, takeUploads } from "./task.ts";

/**
 * Ends the predecessor's machine, decides the task it had begun (from what the machine had uploaded, else as
 * interrupted), and removes its snapshots and directories; in this order, so that another crash loses nothing.
 */
export async function recover(context: Context): Promise<void> {
  const { settings, directories, log } = context;
  await killStaleVirtualMachines(settings.runtime);
  await decideUnfinished(context);
  for (const directory of [directories.bootstrap, directories.get, directories.put])
    await rm(directory, { recursive: true, force: true });
  if (settings.fakeMachine !== undefined) return;
  await removeStaleSnapshots({
    directory: settings.machines,
    toolchain: settings.toolchain.name,
    instance: settings.instance,
    storage: context.storage,
    log,
  });
}

async function decideUnfinished(context: Context): Promise<void> {
  const undecided = [];
  for (const entry of await context.spool.entries()) if (!(await entry.decidedAt())) undecided.push(entry);
  const last = undecided.at(-1);
  for (const entry of undecided) {
    const task = parseTask(Buffer.from(entry.assignment.task), { lenient: true, source: entry.directory });
    // The upload directory is emptied before an assignment is written, so what is there belongs to the last one.
    const uploaded = entry === last ? await takeUploads(context, entry, task, context.log) : undefined;
    const result =
      uploaded ?? agentResult(task, "interrupt", "agent", "the agent ended while the task was performed");
    await record(context, entry, result);
    context.log.warn(
      { session: entry.assignment.session, status: result.status },
      "task of a crashed predecessor decided",
    );
  }
}
