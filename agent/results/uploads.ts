import { join } from "node:path";
import { assertFailure, Failure, isSystemError } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { isFailure, machineOperation, type Result } from "../../manifests/result.ts";
import type { Task } from "../../manifests/task.ts";
import { extractArtifacts } from "./artifacts.ts";
import type { Directories } from "../settings/directories.ts";
import type { Settings } from "../settings/settings.ts";
import { isFarmFault } from "./farm-fault.ts";
import { asOfMachine } from "./machine-words.ts";
import { agentResult, readResult, withOperation } from "./result.ts";
import type { SpoolEntry } from "../task-state/spool.ts";

/** What a machine left: its result, and what of it is broken and worth keeping for the operator. */
export interface Uploaded {
  /** It has the task's name and version also if the worker failed too early to tell. */
  result: Result;
  broken?: { reason: string; files: string[] };
  /** Why the artifacts could not be taken, if the farm is to blame: a machine cannot help a full disk. */
  fault?: Failure;
}

/** What it takes to look at what a machine has uploaded. */
export interface UploadContext {
  readonly directories: Pick<Directories, "put">;
  readonly settings: Pick<Settings, "uploadMaxBytes">;
}

/**
 * Takes the result that a machine has left in the upload directory, and its artifacts into the spool.
 *
 * @returns undefined if there is no result.
 * @throws {Failure} for a fault of the farm that keeps the result from being read.
 */
export async function takeUploads(
  context: UploadContext,
  entry: SpoolEntry,
  task: Task,
  log: Log,
): Promise<Uploaded | undefined> {
  const { put } = context.directories;
  const limit = context.settings.uploadMaxBytes;
  const found = await readResult(put, limit);
  if (found === undefined) return undefined;
  if ("broken" in found) {
    const result = agentResult(task, "abnormal", machineOperation, found.broken);
    return { result, broken: { reason: found.broken, files: [found.file] } };
  }
  const result = complete(asOfMachine(found.result), task);
  // Of a failed build its reports are wanted most; the incumbent's controller takes nothing of it.
  if (isFailure(result.status) && entry.assignment.uploadForm !== "files") return { result };
  const archive = join(put, "upload.tar");
  try {
    await extractArtifacts(archive, entry.uploads, limit);
    return { result };
  } catch (error) {
    assertFailure(error);
    if (isMissing(error.cause, archive)) return { result }; // nothing was uploaded
    if (isFarmFault(error)) return { result, fault: error };
    log.warn({ reason: error.message }, "artifacts of the machine are not acceptable");
    const reason = error.message;
    return { result: withOperation(result, "upload", "abnormal", reason), broken: { reason, files: [] } };
  }
}

function complete(result: Result, task: Task): Result {
  // A worker that failed early cannot tell.
  return result.version === "0" ? { ...result, name: task.name, version: task.version } : result;
}

function isMissing(error: unknown, path: string): boolean {
  return isSystemError(error, "ENOENT") && (error as NodeJS.ErrnoException).path === path;
}
