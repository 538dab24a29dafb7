import { present, type Fields } from "./fields.ts";
import type { ParseOptions } from "./parse-options.ts";
import { resultStatuses, type ResultStatus } from "./result-status.ts";
import { formatSections, parseSingle, type Entry } from "./sections.ts";
import { oneOf, text, token, word } from "./values.ts";

export { isFailure, resultStatuses, worstStatus, type ResultStatus } from "./result-status.ts";
export { sanitizeResultText } from "./text/sanitize.ts";

/** The operation in which an agent says what its host could not do: with `abort` it is a fault of the farm. */
export const agentOperation = "agent";
/** Checksums of croft's agents, which let no machine speak of an operation `agent`; other agents may. */
export const croftChecksum = /^croft-\d+$/;
/** The operation in which an agent says what became of a machine. */
export const machineOperation = "machine";

/** One operation of a build: `configure`, `update`, `test`, `install`… */
interface OperationResult {
  name: string;
  status: ResultStatus;
  log: string;
}

/** What became of a task. */
export interface Result {
  /** As in the task. */
  name: string;
  /** As in the task; `0` if the worker could not tell. */
  version: string;
  /** Overall. */
  status: ResultStatus;
  /** In the order they were performed in. */
  operations: OperationResult[];
  workerChecksum?: string;
  dependencyChecksum?: string;
}

/** What became of an operation; of one that was stored, too. */
interface Outcome {
  name: string;
  status: string;
}

/**
 * An `abort` of a host that another host need not share: it is an `interrupt` to all controllers, which offer the build
 * again, and the operation's `abort` tells croft's that it is not for this host ({@link isRefusedHere}).
 */
export function refusedHere(abort: Result): Result {
  return { ...abort, status: "interrupt" };
}

/** Whether a result of croft's agent is one of {@link refusedHere}; then an operation `agent` says why. */
export function isRefusedHere(result: { status: string; operations: readonly Outcome[] }): boolean {
  const { status, operations } = result;
  return status === "interrupt" && operations.some(isAgentAbort);
}

/** Whether it is in this operation that an agent says what its host could not do. */
export function isAgentAbort({ name, status }: Outcome): boolean {
  return name === agentOperation && status === "abort";
}

const status = oneOf(...resultStatuses);

/** Reads a result manifest. */
export function readResult(fields: Fields): Result {
  const statuses = fields.matching(/^(.+)-status$/, status);
  const operations = statuses.map(([name, status]) => ({
    name,
    status,
    log: fields.required(`${name}-log`, text),
  }));
  return present<Result>({
    name: fields.required("name", word),
    version: fields.required("version", word),
    status: fields.required("status", status),
    operations,
    workerChecksum: fields.optional("worker-checksum", token),
    dependencyChecksum: fields.optional("dependency-checksum", token),
  });
}

/** @throws {ManifestError} */
export function parseResult(bytes: Uint8Array, options: ParseOptions = {}): Result {
  return parseSingle(bytes, options, "result manifest", readResult);
}

/** @throws {ManifestWriteError} */
export function formatResult(result: Result): Uint8Array {
  return formatSections([resultEntries(result)]);
}

export function resultEntries(result: Result): Entry[] {
  return [
    ["name", result.name],
    ["version", result.version],
    ["status", result.status],
    ...result.operations.flatMap(({ name, status, log }): Entry[] => [
      [`${name}-status`, status],
      [`${name}-log`, log],
    ]),
    ["worker-checksum", result.workerChecksum],
    ["dependency-checksum", result.dependencyChecksum],
  ];
}
