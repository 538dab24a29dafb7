/** Cleans up after a predecessor of this instance that crashed, and reports the task it was performing. */
import { Failure } from "../../os/failure.ts";
import { prepareHostNetwork } from "../../machines/network/host-network.ts";
import { killStaleVirtualMachines } from "../../machines/qemu/runtime-files.ts";
import { auxiliaryRuntimes, removeSuspension } from "../../machines/runtime-directory.ts";
import { removeStaleSnapshots } from "../../machines/stale.ts";
import { ManifestError } from "../../manifests/error.ts";
import { agentOperation, type Result } from "../../manifests/result.ts";
import { parseTask, type Task } from "../../manifests/task.ts";
import type { PerformingContext } from "./context.ts";
import { removeDirectories } from "../../os/files/directories.ts";
import { clonesOf } from "../caches/lend.ts";
import { keepEvidence } from "./evidence.ts";
import { directoriesOfMember, settingsOfMember } from "./group/auxiliary-machine.ts";
import { auxiliaryMaximum } from "../settings/auxiliary.ts";
import { isFarmFault } from "../results/farm-fault.ts";
import { agentResult } from "../results/result.ts";
import type { SpoolEntry } from "../task-state/spool.ts";
import { recordResult } from "../results/record-result.ts";
import { retryUntilDone } from "../results/retry.ts";
import { takeUploads } from "../results/uploads.ts";

/**
 * Ends the predecessor's machine, decides the task it had begun (from what the machine had uploaded, else as
 * interrupted), and removes its directories, its connection and its snapshots; in this order, so that another crash
 * loses nothing. While a fault of the farm (a full disk…) keeps a result from being taken, it waits.
 *
 * @throws the stop signal's reason; everything is left in place then.
 */
export async function recover(context: PerformingContext): Promise<void> {
  const { settings, directories, log } = context;
  await killStaleVirtualMachines(settings.runtime);
  await removeSuspension(settings.runtime);
  await decideUnfinished(context);
  await removeDirectories(
    directories.bootstrap,
    directories.get,
    directories.put,
    clonesOf(context.settings),
  );
  await removeGroup(context);
  if (settings.fakeMachine !== undefined) return;
  await prepareHostNetwork(settings.network, settings.offset);
  const { toolchain, instance, machines: directory } = settings;
  await removeStaleSnapshots({
    directory,
    toolchain: toolchain.name,
    instance,
    storage: context.storage,
    log,
  });
}

/** Ends the auxiliary machines that are left; nothing of them is part of the result. */
async function removeGroup({ settings, directories }: PerformingContext): Promise<void> {
  for (const runtime of auxiliaryRuntimes(settings.runtime)) {
    await killStaleVirtualMachines(runtime);
    const { offset } = settingsOfMember(settings, Number(runtime.at(-1)), 0);
    if (settings.fakeMachine === undefined) await prepareHostNetwork(settings.network, offset);
    await removeDirectories(runtime);
  }
  for (let number = 1; number <= auxiliaryMaximum; number++)
    await removeDirectories(directoriesOfMember(directories, number).home);
}

/**
 * So often the uploads of a dead agent are looked at. One that was killed while it looked must not cost the result; but
 * what ends every agent that looks at it must not keep the instance from working.
 */
const recoveryTries = 3;

async function decideUnfinished(context: PerformingContext): Promise<void> {
  const undecided = [];
  for (const entry of await context.spool.entries()) if (!(await entry.isDecided())) undecided.push(entry);
  const last = undecided.at(-1);
  for (const entry of undecided) {
    const log = context.log.child({ session: entry.assignment.session });
    context.signs.show(entry.assignment, "deciding");
    try {
      const result = await decide(context, entry, entry === last);
      await recordResult(context, entry, result, log);
      log.warn({ status: result.status }, "task of a crashed predecessor decided");
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
      log.error({ reason: error.message }, "task of a crashed predecessor is not readable, kept aside");
      await entry.reject(`its task is not readable: ${error.message}\n`);
      context.signs.end(entry.assignment.session);
    }
  }
}

async function decide(context: PerformingContext, entry: SpoolEntry, isLast: boolean): Promise<Result> {
  const task = parseTask(Buffer.from(entry.assignment.task), { lenient: true, source: "assignment" });
  const interrupted = agentResult(
    task,
    "interrupt",
    agentOperation,
    "the agent ended while the task was performed",
  );
  // The upload directory is emptied before an assignment is written, so what is there belongs to the last one.
  return (isLast ? await lookUntilDone(context, entry, task) : undefined) ?? interrupted;
}

/** Only what ends the agent counts as a deadly look: a fault of the farm never costs the result. */
async function lookUntilDone(
  context: PerformingContext,
  entry: SpoolEntry,
  task: Task,
): Promise<Result | undefined> {
  const before = await entry.deadlyLooks();
  if (before >= recoveryTries) return undefined;
  return retryUntilDone(context, context.log, "what a machine left not taken yet", async () => {
    await entry.noteDeadlyLooks(before + 1);
    const found = await uploadedResult(context, entry, task).catch((error: unknown) => {
      if (error instanceof Failure) return error;
      throw error;
    });
    await entry.noteDeadlyLooks(before);
    if (found instanceof Failure) throw found;
    return found;
  });
}

/**
 * Only a result that is readable, and of this task: after a power failure anything may be there.
 *
 * @throws {Failure} for a fault of the farm.
 */
async function uploadedResult(
  context: PerformingContext,
  entry: SpoolEntry,
  task: Task,
): Promise<Result | undefined> {
  const { log } = context;
  try {
    const uploaded = await takeUploads(context, entry, task, log);
    if (uploaded?.broken) {
      const { reason, files } = uploaded.broken;
      const evidence = await keepEvidence(context.directories.evidence, task.machine, files, log);
      log.error({ reason, evidence }, "what a machine left is not readable");
    } else if (uploaded?.result.name === task.name) {
      if (uploaded.fault) throw uploaded.fault;
      return uploaded.result;
    }
  } catch (error) {
    if (!(error instanceof Failure) || isFarmFault(error)) throw error;
    log.error({ reason: error.message }, "what a machine left cannot be read");
  }
  return undefined;
}
