/**
 * What agent, controller and worker bound, each at its end of a connection: the numbers stand here together, so that what one
 * sends is never more than the other takes.
 */

import type { Result } from "./result.ts";

const MiB = 1024 * 1024;

/** Text of a result as a machine leaves it, decompressed. */
export const resultMaxBytes = 96 * MiB;
/** The request with it: what the agent adds (session, signature, what became of artifacts) has its room here. */
export const resultRequestMaxBytes = 100 * MiB;
/** Names and values of a result; many small ones take 70 times their size in memory. */
export const resultValuesMax = 100_000;
/** Operations of a result that a controller keeps, and of those the ones that an agent may add. */
const operationsMax = { kept: 100, ofAgent: 4 } as const;
/** Characters of a value that is shown in lists: versions, names of operations, checksums. */
export const shownValueMaxCharacters = 500;
/** Files and directories of a machine's uploads; a worker sends fewer files than that. */
export const uploadEntriesMax = 10_000;
/** Artifacts in one request: what an agent sends at a time, and what a controller takes. */
export const requestFiles = { sent: 250, taken: 1000 } as const;
/** A working tree that is submitted, and what is in it. */
export const treeMost = { archiveBytes: 256 * MiB, contentBytes: 2048 * MiB, entries: 200_000 } as const;
/** A task request: some 40,000 machines with names and summaries of usual length. */
export const taskRequestMaxBytes = 8 * MiB;
/** A piece of a live log: what an agent sends at a time, and what a controller takes. */
export const logChunkBytes = { sent: MiB / 4, taken: 4 * MiB } as const;

/**
 * What is too much of a result for a controller to keep it; undefined: nothing. An agent finds it in what its machine has
 * sent: refused by the controller, the build would be anybody's again.
 */
export function excessOf(result: Result, from: "machine" | "agent"): string | undefined {
  const { version, operations, workerChecksum = "", dependencyChecksum = "" } = result;
  const most = operationsMax.kept - (from === "machine" ? operationsMax.ofAgent : 0);
  if (operations.length > most) return `there are more than ${most} operations`;
  for (const [name, value] of [
    ["version", version],
    ...operations.map((operation) => ["operation", operation.name]),
    ["worker-checksum", workerChecksum],
    ["dependency-checksum", dependencyChecksum],
  ] as [string, string][])
    if (value.length > shownValueMaxCharacters)
      return `the value of '${name}' is longer than ${shownValueMaxCharacters} characters`;
  return undefined;
}

/** Memory that an auxiliary machine is counted with whose manifest does not say how much it needs. */
export const auxiliaryRamDefaultKiB = 131_072;
