import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Log } from "../../os/log.ts";
import { isSystemError, reasonOf } from "../../os/failure.ts";

const keptMax = 20;
/** Of each file: what a machine uploaded may be large. */
const fileMaxBytes = 4 * 1024 * 1024;

/**
 * Keeps files of a failed boot (console, unreadable result) for the operator, the newest 20 failures of them.
 * A failure to do so is logged and nothing more: evidence is no reason to lose the result.
 *
 * @returns the directory they are in.
 */
export async function keepEvidence(
  directory: string,
  name: string,
  files: readonly string[],
  log: Log,
): Promise<string> {
  const kept = join(
    directory,
    `${new Date().toISOString().replace(/[-:.]/g, "")}-${name.replace(/[^A-Za-z0-9_.+-]/g, "_")}`,
  );
  await keepFiles(kept, files, log);
  try {
    const all = (await readdir(directory)).sort();
    for (const old of all.slice(0, -keptMax))
      await rm(join(directory, old), { recursive: true, force: true });
  } catch (error) {
    log.warn({ directory, reason: reasonOf(error) }, "old evidence could not be removed");
  }
  return kept;
}

/** Keeps files in a directory of evidence, in place of what it has of them already; a failure is logged. */
export async function keepFiles(directory: string, files: readonly string[], log: Log): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const file of files) await copyStart(file, join(directory, basename(file)));
  } catch (error) {
    log.warn({ directory, reason: reasonOf(error) }, "evidence of a failure could not be kept");
  }
}

async function copyStart(from: string, to: string): Promise<void> {
  try {
    await pipeline(createReadStream(from, { end: fileMaxBytes - 1 }), createWriteStream(to));
  } catch (error) {
    if (!isSystemError(error, "ENOENT")) throw error; // it may never have been written
  }
}
