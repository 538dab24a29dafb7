/** Reads what a machine left in its upload directory: a result manifest, perhaps compressed, perhaps hostile. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Failure, isSystemError, reasonOf } from "../host/failure.ts";
import { ManifestError } from "../manifests/error.ts";
import {
  parseResult,
  sanitizeResultText,
  worstStatus,
  type Result,
  type ResultStatus,
} from "../manifests/result.ts";
import type { Task } from "../manifests/task.ts";
import { decompressFrames } from "./lz4.ts";

/** Names under which a result may arrive; the first that is there counts. */
export const resultFiles = ["result.manifest.lz4", "result.manifest"] as const;

/** One string of V8 holds 512 Mi characters; a result must stay below however much may be uploaded. */
const resultMaxBytes = 400 * 1024 * 1024;

/** What was found: a result, or why there is none, with the text as it came for the operator. */
export type FoundResult = { result: Result } | { broken: string; file: string };

/**
 * Reads the result in a directory.
 *
 * Characters that the manifest format refuses are replaced by `?` in logs first: a coloured log is no reason to
 * hold a machine back as evidence.
 *
 * @param uploadMaxBytes what the machine was allowed to upload; a decompressed result may be four times that.
 * @returns undefined if there is no result.
 */
export async function readResult(
  directory: string,
  uploadMaxBytes: number,
): Promise<FoundResult | undefined> {
  for (const name of resultFiles) {
    const file = join(directory, name);
    if (!(await isThere(file))) continue;
    try {
      let text: Uint8Array = await readFile(file);
      if (name.endsWith(".lz4"))
        text = await decompressFrames(text as Buffer, Math.min(4 * uploadMaxBytes, resultMaxBytes));
      return { result: parseResult(sanitizeResultText(text), { lenient: true, source: name }) };
    } catch (error) {
      if (error instanceof ManifestError || error instanceof Failure) return { broken: error.message, file };
      return { broken: `Cannot read '${name}': ${reasonOf(error)}`, file };
    }
  }
  return undefined;
}

/** A result that the agent itself gives, with a reason as the log of an operation. */
export function agentResult(task: Task, status: ResultStatus, operation: string, reason: string): Result {
  const log = reason.endsWith("\n") ? reason : `${reason}\n`;
  return { name: task.name, version: task.version, status, operations: [{ name: operation, status, log }] };
}

/** A result with one more operation; the overall status becomes the worst. */
export function withOperation(result: Result, name: string, status: ResultStatus, log: string): Result {
  const operations = [...result.operations, { name, status, log }];
  return { ...result, status: worstStatus(result.status, status), operations };
}

async function isThere(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile();
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return false;
    throw error;
  }
}
