/** Reads what a machine left in its upload directory: a result manifest, perhaps compressed, perhaps hostile. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import { resultMaxBytes } from "../../manifests/limits.ts";
import { worstStatus, type Result, type ResultStatus } from "../../manifests/result.ts";
import type { Task } from "../../manifests/task.ts";
import { replaceRefusedCharacters } from "../../manifests/text/characters.ts";
import { readOffLoop } from "./off-loop.ts";

/** Names under which a result may arrive; the first that is there counts. */
export const resultFiles = ["result.manifest.lz4", "result.manifest"] as const;

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
 * @throws {Failure} for a fault of the farm.
 */
export async function readResult(
  directory: string,
  uploadMaxBytes: number,
): Promise<FoundResult | undefined> {
  for (const name of resultFiles) {
    const file = join(directory, name);
    if (!(await isThere(file))) continue;
    const maxBytes = Math.min(4 * uploadMaxBytes, resultMaxBytes);
    const reading = await readOffLoop({ file, maxBytes });
    if ("broken" in reading) return { ...reading, file };
    if ("result" in reading) return reading;
    const { reason, code } = reading.fault;
    throw new Failure(`read '${file}'`, reason, { cause: Object.assign(new Error(reason), { code }) });
  }
  return undefined;
}

/** A result that the agent itself gives, with a reason as the log of an operation. */
export function agentResult(task: Task, status: ResultStatus, operation: string, reason: string): Result {
  const empty: Result = { name: task.name, version: task.version, status, operations: [] };
  return withOperation(empty, operation, status, reason);
}

/**
 * A result with what another operation came to (added to it, if there is one of that name already); the overall
 * status becomes the worst. The log may be anybody's words: what a manifest cannot hold is replaced.
 */
export function withOperation(result: Result, name: string, status: ResultStatus, log: string): Result {
  const text = replaceRefusedCharacters(wholeLines(log));
  const before = result.operations.find((operation) => operation.name === name);
  const operation = before
    ? { name, status: worstStatus(before.status, status), log: wholeLines(before.log) + text }
    : { name, status, log: text };
  const others = result.operations.filter((one) => one !== before);
  return { ...result, status: worstStatus(result.status, status), operations: [...others, operation] };
}

/** A manifest's text need not end its last line. */
function wholeLines(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}

/**
 * A result with what became of its artifacts: the build did what it was to do, so that it gets no worse than `warning`
 * by it.
 */
export function withUpload(result: Result, status: "warning" | "abort", log: string): Result {
  const told = withOperation(result, "upload", status, log);
  return { ...told, status: worstStatus(result.status, "warning") };
}

async function isThere(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile();
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return false;
    throw new Failure(`look for '${file}'`, reasonOf(error), { cause: error });
  }
}
