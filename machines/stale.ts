import { rm } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { assertFailure, reasonOf } from "../os/failure.ts";
import { entriesIn } from "../os/files/directories.ts";
import type { Log } from "../os/log.ts";
import { listMachines, type MachinePaths } from "./layout.ts";
import { classifyEntry, isRemoved, isSavedState } from "./names.ts";
import { endOrphans } from "./orphans.ts";
import { removeTreeOfSubvolumes } from "./remove.ts";
import type { Storage } from "./storage.ts";

export interface StaleSnapshotOptions {
  /** The machines directory. */
  directory: string;
  /** Name of the toolchain. */
  toolchain: string;
  instance: number;
  storage: Storage;
  log: Log;
}

/**
 * Removes what a crashed predecessor of this instance left: its temporary snapshots, and trees whose removal was
 * begun (by whomever). What still makes such a snapshot is ended first: one that appears later, nobody would look for. To be
 * called before the first enumeration, by the only process of this instance.
 *
 * @throws {Failure} if the machines cannot be listed; what cannot be removed is logged.
 */
export async function removeStaleSnapshots(options: StaleSnapshotOptions): Promise<void> {
  const { directory, toolchain, instance, storage, log } = options;
  const machines = listMachines(directory, toolchain);
  await endOrphans((path) => isTemporaryOf(options, path), log);
  const stale: string[] = [];
  for (const { name: volume } of entriesIn(directory)) {
    if (volume.startsWith(".")) continue;
    for (const { name: entry } of entriesIn(join(directory, volume)))
      if (isRemoved(entry)) stale.push(join(directory, volume, entry));
  }
  for (const paths of machines)
    for (const { name: entry } of entriesIn(paths.directory)) {
      const what = classifyEntry(paths.name, entry);
      const ours = what?.kind === "temporary" && what.toolchain === toolchain && what.instance === instance;
      if (ours || what?.kind === "removed") stale.push(join(paths.directory, entry));
    }
  await removeStaleStates(machines, instance, log);
  for (const path of stale) {
    log.info({ path }, "removing what a predecessor left");
    try {
      await removeTreeOfSubvolumes(storage, path);
    } catch (error) {
      assertFailure(error);
      log.error({ path }, error.message);
    }
  }
}

/** Whether a path is a temporary snapshot of the instance, or in one: `<directory>/<volume>/M/M-T-I-xxxxxx`. */
function isTemporaryOf({ directory, toolchain, instance }: StaleSnapshotOptions, path: string): boolean {
  const names = relative(resolve(directory), path).split(sep);
  const [, machine = "", entry = ""] = names[0] === ".." ? [] : names;
  const what = classifyEntry(machine, entry);
  return what?.kind === "temporary" && what.toolchain === toolchain && what.instance === instance;
}

/** Saved states that were begun, or whose removal was. */
async function removeStaleStates(
  machines: readonly MachinePaths[],
  instance: number,
  log: Log,
): Promise<void> {
  for (const { bootstrapped } of machines)
    for (const { name: entry } of entriesIn(bootstrapped)) {
      if (!isSavedState(entry, instance)) continue;
      const path = join(bootstrapped, entry);
      log.info({ path }, "removing what a predecessor left");
      await rm(path, { recursive: true, force: true }).catch((error: unknown) =>
        log.error({ path, reason: reasonOf(error) }, "a machine's state that was begun is left"),
      );
    }
}
