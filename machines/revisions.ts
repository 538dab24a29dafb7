/** Revisions: numbered, never written once they have their name, the current one behind a link. */
import { lstatSync } from "node:fs";
import { rename, rm, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { makeDirectoryDurably, syncDirectory } from "../os/files/durable.ts";
import { Failure, isSystemError, reasonOf } from "../os/failure.ts";
import { entriesIn } from "../os/files/directories.ts";
import { manifestPath, revisionPath, type MachinePaths } from "./layout.ts";
import { classifyEntry, randomTail } from "./names.ts";
import type { Storage } from "./storage.ts";
import { syncTree } from "./sync-tree.ts";

/** The number that a new revision gets, one above all that there are: for the machine's id. */
export function nextRevision(paths: MachinePaths): number {
  const revisions = listRevisions(paths);
  return (revisions.at(-1) ?? 0) + 1;
}

/** Numbers of the revisions there are, ascending. */
export function listRevisions(paths: MachinePaths): number[] {
  return entriesIn(paths.directory, `list revisions in '${paths.directory}'`)
    .map(({ name }) => classifyEntry(paths.name, name))
    .flatMap((entry) => (entry?.kind === "revision" ? [entry.revision] : []))
    .sort((a, b) => a - b);
}

/** A place in the machine's directory (made if it is not there) to build a revision in: hidden from agents. */
export async function newRevisionPath(paths: MachinePaths): Promise<string> {
  try {
    await makeDirectoryDurably(paths.directory);
  } catch (error) {
    throw new Failure(`make directory '${paths.directory}'`, reasonOf(error), { cause: error });
  }
  return join(paths.directory, `.${basename(paths.current)}.${randomTail()}.new`);
}

/**
 * Gives a complete revision, built in the machine's directory, its name, with the next free number, and switches the
 * link to it.
 *
 * @param temporary from {@link newRevisionPath}.
 * @returns the number.
 * @throws {Failure} if that is not possible; the link is then unchanged, and nothing is left at `temporary`.
 */
export async function publishRevision(
  storage: Storage,
  paths: MachinePaths,
  temporary: string,
): Promise<number> {
  try {
    if (!lstatSync(manifestPath(temporary), { throwIfNoEntry: false })?.isFile())
      throw new Failure(`publish '${temporary}'`, "it has no manifest");
    await syncTree(temporary);
    const revision = await nameRevision(paths, temporary);
    await switchLink(paths, revision);
    return revision;
  } catch (error) {
    await storage.remove(temporary).catch(() => {}); // the first error is the one to report
    throw error;
  }
}

async function nameRevision(paths: MachinePaths, temporary: string): Promise<number> {
  for (let revision = nextRevision(paths); ; revision++) {
    const path = revisionPath(paths, revision);
    if (lstatSync(path, { throwIfNoEntry: false })) continue;
    try {
      await rename(temporary, path);
      await syncDirectory(paths.directory);
      return revision;
    } catch (error) {
      if (isSystemError(error, "EEXIST", "ENOTEMPTY", "ENOTDIR")) continue; // somebody else's, made just now
      throw new Failure(`rename '${temporary}' to '${path}'`, reasonOf(error), { cause: error });
    }
  }
}

/**
 * Makes a revision the current one, in one step: whoever follows the link meanwhile sees the one before or this one.
 *
 * @throws {Failure} if the link cannot be made; it is then unchanged.
 */
export async function switchLink(paths: MachinePaths, revision: number): Promise<void> {
  const temporary = join(dirname(paths.current), `.${basename(paths.current)}.${randomTail()}.link`);
  const target = basename(revisionPath(paths, revision));
  try {
    await symlink(target, temporary);
    await rename(temporary, paths.current);
    await syncDirectory(paths.directory);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw new Failure(`make '${target}' the current revision`, reasonOf(error), { cause: error });
  }
}
