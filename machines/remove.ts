import { statSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { entriesIn } from "../os/files/directories.ts";
import { syncDirectory } from "../os/files/durable.ts";
import { attempt, Failure, hasNoRoom, isSystemError, reasonOf } from "../os/failure.ts";
import { tryLockFile } from "../os/files/flock.ts";
import { currentRevision, revisionPath, type MachinePaths } from "./layout.ts";
import { readHolder } from "./locks.ts";
import { classifyEntry, isRemoved, removedName } from "./names.ts";
import { listRevisions } from "./revisions.ts";
import type { Storage } from "./storage.ts";

/**
 * Removes a machine with all its revisions, and all that was bootstrapped from them.
 *
 * Agents that look at it meanwhile see all of it or nothing: it loses its name before anything is removed.
 *
 * @throws {Failure} if an agent of whatever toolchain uses it (it is then unchanged), or if it cannot be removed.
 */
export async function removeMachine(storage: Storage, paths: MachinePaths): Promise<void> {
  const action = `remove machine '${paths.name}'`;
  using locks = new DisposableStack();
  const locked = lockAll(locks, paths, paths.directory, action);
  const away = join(dirname(paths.directory), removedName(paths.name));
  try {
    await renameDirectory(paths.directory, away, action);
  } catch (error) {
    if (!(error instanceof Failure) || !hasNoRoom(error.cause)) throw error;
    return removeInPlace(storage, paths);
  }
  try {
    // An agent of a toolchain that never saw this machine may have locked it just before it lost its name.
    lockAll(locks, paths, away, action, locked);
  } catch (error) {
    await renameDirectory(away, paths.directory, action);
    throw error;
  }
  // Before anything in it is removed: after a power cut, half a machine must not have its name again.
  await attempt(action, syncDirectory(dirname(away)));
  await removeTreeOfSubvolumes(storage, away);
}

/**
 * Where not even a name can be changed, as on a btrfs whose metadata is full, and room is to be made by this very removal.
 * Without the link to a revision nobody takes the rest for a machine; a removal that is cut short is called again.
 */
async function removeInPlace(storage: Storage, paths: MachinePaths): Promise<void> {
  await rm(paths.current, { force: true });
  await removeTreeOfSubvolumes(storage, paths.directory);
}

/**
 * Removes a revision that is not the current one.
 *
 * @throws {Failure} if it is current, if there is none, or if an agent uses the machine: it may be copying it.
 */
export async function removeRevision(storage: Storage, paths: MachinePaths, revision: number): Promise<void> {
  const path = revisionPath(paths, revision);
  const action = `remove revision ${revision} of machine '${paths.name}'`;
  if (!listRevisions(paths).includes(revision)) throw new Failure(action, `there is no '${path}'`);
  using locks = new DisposableStack();
  lockAll(locks, paths, paths.directory, action);
  if (isCurrent(paths, path))
    throw new Failure(action, "it is the current one", {
      hints: ["Publish another revision first, or remove the machine."],
    });
  await storage.remove(path);
}

/** Paths are not compared: those of one directory may be relative, or lead through other links. */
function isCurrent(paths: MachinePaths, revision: string): boolean {
  const current = currentRevision(paths);
  if (current === undefined) return false;
  if (basename(current) === basename(revision)) return true;
  const [ours, theirs] = [current, revision].map((path) => statSync(path, { throwIfNoEntry: false }));
  return ours !== undefined && ours.ino === theirs?.ino && ours.dev === theirs.dev;
}

/** Finishes removals of the machine that were cut short; returns how many there were. */
export async function finishRemovals(storage: Storage, volume: string, name: string): Promise<number> {
  const left = entriesIn(volume).filter((entry) => isRemoved(entry.name) && removedFrom(entry.name) === name);
  for (const entry of left) await removeTreeOfSubvolumes(storage, join(volume, entry.name));
  return left.length;
}

/** Removes a directory that holds subvolumes, or is one. */
export async function removeTreeOfSubvolumes(storage: Storage, path: string): Promise<void> {
  for (const entry of entriesIn(path)) if (entry.isDirectory()) await storage.remove(join(path, entry.name));
  await storage.remove(path);
}

function removedFrom(name: string): string {
  return name.replace(/^\./, "").replace(/\.[A-Za-z0-9]{6}\.removed$/, "");
}

/** Locks all copies of the machine for all toolchains; returns the names of the lock files. */
function lockAll(
  locks: DisposableStack,
  paths: MachinePaths,
  directory: string,
  action: string,
  except: readonly string[] = [],
): string[] {
  const lockNames = entriesIn(directory)
    .flatMap(({ name }) => {
      const entry = classifyEntry(paths.name, name);
      return entry?.kind === "lock" ? [{ name, copy: entry.copy }] : [];
    })
    .sort((a, b) => a.copy - b.copy)
    .map(({ name }) => name);
  for (const name of lockNames) {
    if (except.includes(name)) continue;
    const lock = tryLockFile(join(directory, name));
    if (lock) {
      locks.use(lock);
      continue;
    }
    const { pid } = readHolder(join(directory, name));
    const holder = pid === undefined ? "another process" : `process ${pid}`;
    throw new Failure(action, `${holder} holds the lock '${basename(name)}'`, {
      hints: ["Try again when its build is done, or stop that agent."],
    });
  }
  return lockNames;
}

async function renameDirectory(from: string, to: string, action: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    const reason = isSystemError(error, "EBUSY") ? `something is mounted at '${from}'` : reasonOf(error);
    throw new Failure(action, reason, { cause: error });
  }
}
