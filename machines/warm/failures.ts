/**
 * Failures of restoring that may be the host's: with so much work that a machine does not say its first word in time, or somebody ends
 * it. A state that its other tasks begin from is not given up for one of them: all of these would be booted for an hour, which
 * is ten times the work.
 */
import { appendFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";

/** Beside the saved state: a byte for each in a row. */
const failuresName = "failures";
const mostInARow = 3;

/**
 * Takes note of one; copies of the machine may do so at the same time.
 *
 * @returns whether there were so many in a row that the state is to be given up.
 */
export async function noteFailure(directory: string): Promise<boolean> {
  const path = join(directory, failuresName);
  await appendFile(path, ".", { mode: 0o600 });
  return (await stat(path)).size >= mostInARow;
}

/** A task has begun from the state. */
export async function forgetFailures(directory: string): Promise<void> {
  await rm(join(directory, failuresName), { force: true });
}
