import { readdirSync, type Dirent } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { attempt, Failure, isSystemError, reasonOf } from "../failure.ts";

/** Makes directories that hold one boot's files, empty. */
export async function freshDirectories(...paths: string[]): Promise<void> {
  await removeDirectories(...paths);
  for (const path of paths) await makeDirectory(path);
}

/** @throws {Failure} if one cannot be removed. */
export async function removeDirectories(...paths: string[]): Promise<void> {
  for (const path of paths)
    await attempt(
      `remove the directory '${path}'`,
      rm(path, { recursive: true, force: true, maxRetries: 3 }),
    );
}

/**
 * Makes a directory for its user alone, with those above it where they are missing.
 *
 * @throws {Failure} if it cannot be made.
 */
export async function makeDirectory(path: string): Promise<void> {
  await attempt(`make the directory '${path}'`, mkdir(path, { recursive: true, mode: 0o700 }));
}

/**
 * Names in a directory, sorted; none if it is not there.
 *
 * @param absent codes of the errors that say so.
 * @throws {Failure} if it cannot be read.
 */
export async function namesIn(directory: string, absent: readonly string[] = ["ENOENT"]): Promise<string[]> {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    if (isSystemError(error, ...absent)) return [];
    throw new Failure(`read '${directory}'`, reasonOf(error), { cause: error });
  }
}

/**
 * What is in a directory; nothing if it is not there, or is none.
 *
 * @param action what it is listed for.
 * @throws {Failure} if it cannot be read.
 */
export function entriesIn(directory: string, action = `list '${directory}'`): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENOTDIR")) return [];
    throw new Failure(action, reasonOf(error), { cause: error });
  }
}
