/** The directory that a revision is made in, until it has its name; and what is left of those whose makers were killed. */
import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { tryLockFile } from "../../os/files/flock.ts";
import type { MachinePaths } from "../layout.ts";
import { newRevisionPath } from "../revisions.ts";
import type { Storage } from "../storage.ts";

/** Whoever makes a revision holds a lock on this file in it, which vanishes with him. */
const markName = ".making";

/** A revision that is being made; disposing removes it, unless it is finished. */
interface UnfinishedRevision extends AsyncDisposable {
  readonly path: string;
  /** It has only what belongs to it from now on. */
  finish(): Promise<void>;
}

/**
 * Makes the directory, and removes those that nobody is at work in any more.
 *
 * @throws {Failure} if that is not possible.
 */
export async function beginRevision(
  storage: Storage,
  paths: MachinePaths,
  signal: AbortSignal,
): Promise<UnfinishedRevision> {
  await using undo = new AsyncDisposableStack();
  const path = await newRevisionPath(paths);
  await removeAbandoned(storage, paths);
  await storage.createSubvolume(path, signal);
  undo.defer(() => storage.remove(path));
  const mark = undo.use(tryLockFile(join(path, markName))!);
  const all = undo.move();
  let isFinished = false;
  return {
    path,
    finish: async () => {
      await rm(join(path, markName));
      isFinished = true;
    },
    [Symbol.asyncDispose]: async () => {
      if (isFinished) mark[Symbol.dispose]();
      else await all.disposeAsync();
    },
  };
}

/** Only what has the mark: others may be somebody's who makes none. */
async function removeAbandoned(storage: Storage, paths: MachinePaths): Promise<void> {
  for (const name of await readdir(paths.directory)) {
    const path = join(paths.directory, name);
    if (!name.startsWith(`.${basename(paths.current)}.`) || !existsSync(join(path, markName))) continue;
    using lock = tryLockFile(join(path, markName));
    if (lock) await storage.remove(path);
  }
}
