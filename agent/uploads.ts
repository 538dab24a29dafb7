import { join } from "node:path";
import { Failure, isSystemError } from "../host/failure.ts";
import type { Log } from "../host/log.ts";
import { isFailure, type Result } from "../manifests/result.ts";
import type { Task } from "../manifests/task.ts";
import { extractArtifacts } from "./artifacts.ts";
import type { Context } from "./context.ts";
import { agentResult, readResult, withOperation } from "./result.ts";
import type { SpoolEntry } from "./spool.ts";

/** What a machine left: its result, and what of it is broken and worth keeping for the operator. */
export interface Uploaded {
  result: Result;
  broken?: { reason: string; files: string[] };
}

/**
 * Takes the result that a machine has left in the upload directory, and its artifacts into the spool.
 *
 * @returns undefined if there is no result.
 * @throws {Failure} for a fault of the farm: the machine is not to blame for a full disk.
 */
export async function takeUploads(
  context: Context,
  entry: SpoolEntry,
  task: Task,
  log: Log,
): Promise<Uploaded | undefined> {
  const { put } = context.directories;
  const limit = context.settings.uploadMaxBytes;
  const found = await readResult(put, limit);
  if (found === undefined) return undefined;
  if ("broken" in found) {
    const result = agentResult(task, "abnormal", "agent", found.broken);
    return { result, broken: { reason: found.broken, files: [found.file] } };
  }
  const { result } = found;
  if (isFailure(result.status)) return { result };
  try {
    await extractArtifacts(join(put, "upload.tar"), entry.uploads, limit);
    return { result };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (isSystemError(error.cause, "ENOENT")) return { result }; // nothing was uploaded
    if (isSystemError(error.cause, "ENOSPC", "EDQUOT", "EIO", "EROFS", "EACCES", "EPERM", "EMFILE"))
      throw error;
    log.warn({ reason: error.message }, "artifacts of the machine are not acceptable");
    const reason = error.message;
    return { result: withOperation(result, "upload", "abnormal", reason), broken: { reason, files: [] } };
  }
}
