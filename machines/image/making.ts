/** The directory that a revision is made in, until it has its name; and what is left of those whose makers were killed. */
import { existsSync, fstatSync, writeSync } from "node:fs";
import { readdir, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { assertFailure, Failure } from "../../os/failure.ts";
import { tryLockFile } from "../../os/files/flock.ts";
import type { MachinePaths } from "../layout.ts";
import { newRevisionPath } from "../revisions.ts";
import type { Storage } from "../storage.ts";
import { removeWork } from "./work-tree.ts";

/** A revision that is being made. */
interface Making extends AsyncDisposable {
  readonly path: string;
  /** Nobody else takes it for abandoned from now on, and it has only what belongs to it. */
  finish(): Promise<void>;
}

/** Whoever makes a revision holds a lock on this file in it, which vanishes with him. */
const markName = ".making";
/** Much longer than anything that makes a revision may take: for those without a mark. */
const abandonedAfterMilliseconds = 6 * 3600 * 1000;

/**
 * Makes the directory, and removes those that nobody is at work in any more. Disposing removes it, unless it is finished.
 *
 * @throws {Failure} if that is not possible.
 */
export async function beginRevision(
  storage: Storage,
  paths: MachinePaths,
  signal?: AbortSignal,
): Promise<Making> {
  await using undo = new AsyncDisposableStack();
  const path = await newRevisionPath(paths);
  await removeAbandoned(paths, storage);
  await storage.createSubvolume(path, signal);
  undo.defer(() => storage.remove(path));
  const mark = undo.use(await markAsOurs(path));
  const all = undo.move();
  let finished = false;
  return {
    path,
    finish: async () => {
      await rm(join(path, markName));
      finished = true;
    },
    [Symbol.asyncDispose]: async () => {
      if (finished) mark[Symbol.dispose]();
      else await all.disposeAsync();
    },
  };
}

/** Locked before it has the name by which others look at it. */
async function markAsOurs(path: string): Promise<Disposable> {
  const lock = tryLockFile(join(path, `${markName}.new`));
  if (lock === undefined) throw new Failure(`lock '${path}'`, "somebody else has done so");
  writeSync(lock.fd, `${process.pid}\n`);
  await rename(lock.path, join(path, markName));
  return lock;
}

async function removeAbandoned(paths: MachinePaths, storage: Storage): Promise<void> {
  for (const name of await readdir(paths.directory)) {
    if (!name.startsWith(`.${basename(paths.current)}.`) || !name.endsWith(".new")) continue;
    const path = join(paths.directory, name);
    if (!(await isAbandoned(path))) continue;
    await removeWork(path);
    await storage.remove(path);
  }
}

async function isAbandoned(path: string): Promise<boolean> {
  const mark = join(path, markName);
  if (existsSync(mark)) {
    try {
      using lock = tryLockFile(mark);
      if (lock === undefined) return false;
      if (fstatSync(lock.fd).size > 0) return true;
      await rm(mark, { force: true }); // it was finished just now, and the mark made anew by looking for it
    } catch (error) {
      assertFailure(error); // it has its name by now
    }
    return false;
  }
  const changed = await stat(path).catch(() => undefined); // somebody else may have removed it
  return changed !== undefined && Date.now() - changed.mtimeMs > abandonedAfterMilliseconds;
}
