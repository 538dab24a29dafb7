/**
 * What restored machines have drawn from their random number generators, as digests: two that have drawn the same would
 * make the same keys.
 */
import { createHash } from "node:crypto";
import { appendFile, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure, isSystemError } from "../../os/failure.ts";
import { tryLockFile, type FileLock } from "../../os/files/flock.ts";

/** Beside the saved state that they were restored from. */
const seenName = "seen";
const digestBytes = 32;
const keptMaximum = 10_000;

/** The file is locked for moments only, unless its holder is stopped. */
const lockPatienceMs = 10_000;

/**
 * Takes note of what a machine has drawn; builds on other copies of the machine may do so at the same time.
 *
 * @returns false if one of the last 10,000 has drawn the same.
 * @throws {Failure} if it cannot be noted.
 */
export async function noteRandomness(directory: string, drawn: Uint8Array): Promise<boolean> {
  const path = join(directory, seenName);
  using _lock = await lockFile(path);
  const digest = createHash("sha256").update(drawn).digest();
  const seen = await readSeen(path);
  for (let at = 0; at < seen.length; at += digestBytes)
    if (seen.subarray(at, at + digestBytes).equals(digest)) return false;
  if (seen.length < keptMaximum * digestBytes && seen.length % digestBytes === 0) {
    await appendFile(path, digest, { mode: 0o600 });
    return true;
  }
  // Too many, or the last one is incomplete: somebody was killed.
  const whole = seen.subarray(0, seen.length - (seen.length % digestBytes));
  const kept = whole.subarray(Math.max(0, whole.length - (keptMaximum - 1) * digestBytes));
  await writeFile(`${path}.new`, Buffer.concat([kept, digest]), { mode: 0o600 });
  await rename(`${path}.new`, path);
  return true;
}

async function lockFile(path: string): Promise<FileLock> {
  const deadline = performance.now() + lockPatienceMs;
  for (;;) {
    const lock = tryLockFile(path);
    if (lock) return lock;
    if (performance.now() >= deadline)
      throw new Failure(`note what a machine has drawn in '${path}'`, "another process has it locked");
    await sleep(5);
  }
}

async function readSeen(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return Buffer.alloc(0);
    throw error;
  }
}
