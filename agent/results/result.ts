/** Reads what a machine left in its upload directory: a result manifest, perhaps compressed, perhaps hostile. */
import { readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import { ManifestError } from "../../manifests/error.ts";
import { resultMaxBytes, resultValuesMax } from "../../manifests/limits.ts";
import {
  parseResult,
  sanitizeResultText,
  worstStatus,
  type Result,
  type ResultStatus,
} from "../../manifests/result.ts";
import type { Task } from "../../manifests/task.ts";
import { replaceRefusedCharacters } from "../../manifests/text/characters.ts";
import { ManifestReader } from "../../manifests/text/reader.ts";
import { isFarmFault } from "./farm-fault.ts";
import { decompressFrames } from "./lz4.ts";

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
    try {
      const maxBytes = Math.min(4 * uploadMaxBytes, resultMaxBytes);
      let text: Uint8Array = await readBounded(file, maxBytes);
      if (name.endsWith(".lz4")) text = await decompressFrames(text as Buffer, maxBytes);
      boundPairs(text);
      return { result: parseResult(sanitizeResultText(text), { lenient: true, source: name }) };
    } catch (error) {
      if (isFarmFault(error)) throw new Failure(`read '${file}'`, reasonOf(error), { cause: error });
      if (error instanceof ManifestError || error instanceof Failure) return { broken: error.message, file };
      return { broken: `Cannot read '${name}': ${reasonOf(error)}`, file };
    }
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
  const text = replaceRefusedCharacters(log.endsWith("\n") ? log : `${log}\n`);
  const before = result.operations.find((operation) => operation.name === name);
  const operation = before
    ? { name, status: worstStatus(before.status, status), log: before.log + text }
    : { name, status, log: text };
  const others = result.operations.filter((one) => one !== before);
  return { ...result, status: worstStatus(result.status, status), operations: [...others, operation] };
}

/**
 * A result with what became of its artifacts: the build did what it was to do, so that it gets no worse than `warning`
 * by it.
 */
export function withUpload(result: Result, status: "warning" | "abort", log: string): Result {
  const told = withOperation(result, "upload", status, log);
  return { ...told, status: worstStatus(result.status, "warning") };
}

async function readBounded(file: string, maxBytes: number): Promise<Buffer> {
  const { size } = await stat(file);
  if (size > maxBytes) throw new Failure(`read '${basename(file)}'`, `it has more than ${maxBytes} bytes`);
  return readFile(file);
}

/** Counts pairs before they are kept; only a text with that many lines can have so many. */
function boundPairs(text: Uint8Array): void {
  let lines = 0;
  for (let at = text.indexOf(0x0a); at >= 0 && lines <= resultValuesMax; at = text.indexOf(0x0a, at + 1))
    lines++;
  if (lines <= resultValuesMax) return;
  let pairs = 0;
  const reader = new ManifestReader(() => {
    if (++pairs > resultValuesMax)
      throw new Failure("read the result", `it has more than ${resultValuesMax} values`);
  });
  reader.push(sanitizeResultText(text));
}

async function isThere(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile();
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return false;
    throw new Failure(`look for '${file}'`, reasonOf(error), { cause: error });
  }
}
