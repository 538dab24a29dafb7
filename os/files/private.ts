/** Directories that are their owner's alone, whatever the umask: passwords and tokens stand in what lies there. */
import { chmod, lstat, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { attempt, Failure } from "../failure.ts";

const others = 0o077;

/**
 * Closes a directory, with all that is in it, to everybody but its owner.
 *
 * @returns whether it was open before.
 * @throws {Failure} if it belongs to another user, or something in it does and is open.
 */
export async function closeDirectory(path: string): Promise<boolean> {
  const { uid, mode } = await attempt(`look at '${path}'`, stat(path));
  const us = process.getuid?.();
  if (us !== undefined && uid !== us)
    throw new Failure(`use the directory '${path}'`, `it belongs to user ${uid}, and this is user ${us}`, {
      hints: [
        "Whoever owns a directory can change all that is in it. Give it to this user, or use another one.",
      ],
    });
  if ((mode & others) === 0) return false;
  await attempt(`close '${path}' to other users`, chmod(path, mode & 0o700));
  await closeContents(path);
  return true;
}

/** Files may be open by another name, such as a mount of a directory in it. */
async function closeContents(directory: string): Promise<void> {
  for (const entry of await attempt(`read '${directory}'`, readdir(directory, { withFileTypes: true }))) {
    if (entry.isSymbolicLink()) continue;
    const path = join(directory, entry.name);
    const { mode } = await attempt(`look at '${path}'`, lstat(path));
    if ((mode & others) !== 0) await attempt(`close '${path}' to other users`, chmod(path, mode & 0o700));
    if (entry.isDirectory()) await closeContents(path);
  }
}

/** Whether others than its owner may read or change what lies in a directory. */
export async function isOpenDirectory(path: string): Promise<boolean> {
  const { mode } = await attempt(`look at '${path}'`, stat(path));
  return (mode & others) !== 0;
}
