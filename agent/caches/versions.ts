/** The versions of caches: how one is replaced by the next, how much room they take, and which go first. */
import { readFileSync, statSync } from "node:fs";
import { open, readdir, rename, rm, utimes } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { attempt, Failure, isSystemError } from "../../os/failure.ts";
import { entriesIn } from "../../os/files/directories.ts";
import { makeDirectoryDurably, syncDirectory, writeDurably } from "../../os/files/durable.ts";
import { randomTail } from "../../os/files/random-tail.ts";
import { aboutName, cachePath, emptyName, imageName, type CacheOwner } from "./layout.ts";

/** A version that builds get clones of. */
export interface CacheVersion {
  cache: string;
  /** Its directory. */
  path: string;
  /** Undefined if nobody can tell. */
  owner: CacheOwner | undefined;
  /** What it takes on the disk, as if it shared nothing. */
  bytes: number;
  usedAt: Date;
}

/** Where the superblock has its state, and the bit that says that it was unmounted (Documentation/filesystems/ext4/super.rst in Linux). */
const stateOffset = 1024 + 0x3a;
const wasUnmounted = 1;

/**
 * Makes a clone the version that builds get from now on, whatever happens meanwhile: before and after there is a whole one.
 *
 * @param clone on the same file system; its machine is gone. It is there no more if this has worked.
 * @throws {Failure} if it was not unmounted, or cannot be kept.
 */
export async function promote(
  directory: string,
  name: string,
  owner: CacheOwner,
  clone: string,
): Promise<void> {
  const path = cachePath(directory, name, owner);
  await attempt(
    `keep cache '${name}'`,
    (async () => {
      await assertUnmounted(name, clone);
      await makeDirectoryDurably(path, 0o700);
      await writeDurably(join(path, aboutName), `${JSON.stringify(owner)}\n`);
      await rename(clone, join(path, imageName));
      await syncDirectory(path);
    })(),
  );
}

/** Also brings all of it to the disk. */
async function assertUnmounted(name: string, clone: string): Promise<void> {
  const file = await open(clone, "r");
  try {
    const { buffer } = await file.read(Buffer.alloc(2), 0, 2, stateOffset);
    if ((buffer.readUInt16LE() & wasUnmounted) === 0)
      throw new Failure(`keep cache '${name}'`, "the machine has not unmounted it");
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Notes that a build has got a clone of it. */
export async function noteUse(path: string): Promise<void> {
  const now = new Date();
  await utimes(join(path, aboutName), now, now).catch(() => {}); // it may just have gone
}

/** All versions, those that were used last first. */
export async function versionsIn(directory: string): Promise<CacheVersion[]> {
  const versions: CacheVersion[] = [];
  for (const cache of entriesIn(directory)) {
    if (!cache.isDirectory() || cache.name.startsWith(".")) continue;
    for (const { name } of entriesIn(join(directory, cache.name))) {
      if (name.startsWith(".")) continue;
      const path = join(directory, cache.name, name);
      const image = statSync(join(path, imageName), { throwIfNoEntry: false });
      const about = statSync(join(path, aboutName), { throwIfNoEntry: false });
      const usedAt = about?.mtime ?? image?.mtime ?? new Date(0);
      versions.push({
        cache: cache.name,
        path,
        owner: readOwner(path),
        bytes: (image?.blocks ?? 0) * 512,
        usedAt,
      });
    }
  }
  return versions.sort((a, b) => b.usedAt.getTime() - a.usedAt.getTime());
}

function readOwner(path: string): CacheOwner | undefined {
  try {
    return JSON.parse(readFileSync(join(path, aboutName), "utf8")) as CacheOwner;
  } catch {
    return undefined;
  }
}

/**
 * Removes the versions that were used the longest ago until the others take no more room than they may.
 *
 * @returns what was removed.
 * @throws {Failure} if one cannot be removed.
 */
export async function prune(
  directory: string,
  keeps: (version: CacheVersion, bytesOfThoseUsedLater: number) => boolean,
): Promise<CacheVersion[]> {
  await attempt(`clear away '${directory}'`, finishRemovals(directory));
  const removed: CacheVersion[] = [];
  let bytes = 0;
  for (const version of await versionsIn(directory)) {
    if (keeps(version, bytes)) {
      bytes += version.bytes;
      continue;
    }
    await attempt(`remove '${version.path}'`, remove(version.path));
    removed.push(version);
  }
  return removed;
}

/** At once and whole: half a version is none. */
async function remove(path: string): Promise<void> {
  const away = join(dirname(path), `.${basename(path)}.${randomTail()}.removed`);
  try {
    await rename(path, away);
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return; // another instance has done it
    throw error;
  }
  await rm(away, { recursive: true, force: true });
}

async function finishRemovals(directory: string): Promise<void> {
  for (const { name: cache } of entriesIn(directory).filter((entry) => entry.isDirectory()))
    for (const name of cache === emptyName ? [] : await readdir(join(directory, cache)))
      if (/^\..*\.removed$/.test(name))
        await rm(join(directory, cache, name), { recursive: true, force: true });
}
