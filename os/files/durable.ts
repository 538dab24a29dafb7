import { mkdir, open, rename } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { withoutUndefined } from "../without-undefined.ts";
import { Failure, reasonOf } from "../failure.ts";

/**
 * Writes a file so that after a crash either the old or the new content is there, complete: temporary name in the
 * same directory, fsync, rename, fsync of the directory. Content that is made in pieces is made while it is written.
 *
 * @throws {Failure} if any of that fails; the old content is then still there.
 */
export async function writeDurably(
  path: string,
  content: string | Uint8Array | Iterable<Uint8Array>,
): Promise<void> {
  const temporary = `${path}.new`;
  try {
    const file = await open(temporary, "w", 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    throw new Failure(`write '${path}'`, reasonOf(error), { cause: error });
  }
}

/** Makes names created in, renamed to, or removed from a directory survive a crash of the host. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Makes a directory, with those above it where they are missing, so that it survives a crash of the host. */
export async function makeDirectoryDurably(path: string, mode?: number): Promise<void> {
  const first = await mkdir(path, { recursive: true, ...withoutUndefined({ mode }) });
  if (first === undefined) return;
  for (let made = resolve(path); ; made = dirname(made)) {
    await syncDirectory(dirname(made));
    if (made === resolve(first) || made === dirname(made)) return;
  }
}
