import { existsSync, readdirSync } from "node:fs";
import { readdir, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { makeDirectoryDurably } from "../../os/files/durable.ts";
import { Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import { formatMachine } from "../../manifests/machine.ts";
import {
  bootstrapProtocol,
  machinePaths,
  manifestPath,
  type MachinePaths,
  visibleDirectories,
} from "../layout.ts";
import { newRevisionPath, nextRevision, publishRevision } from "../revisions.ts";
import type { Storage } from "../storage.ts";
import { createImage, removeWork, type ImageOptions } from "./create-image.ts";

export interface CreateMachineOptions extends ImageOptions {
  name: string;
  summary: string;
  /** The machines directory; must be there. */
  machines: string;
  /** Name of the volume; without it, the one that has the machine, else the first, else `default`. */
  volume?: string;
  storage: Storage;
}

/**
 * Makes a revision of a machine from Debian packages and publishes it. Until then it has a hidden name; if anything
 * fails or is interrupted, nothing is left.
 *
 * @returns the path of the revision.
 * @throws {Failure} if the image cannot be made or published; the signal's reason if aborted.
 */
export async function createMachine(options: CreateMachineOptions): Promise<string> {
  const { storage, signal } = options;
  const volume = options.volume ?? findVolume(options.machines, options.name);
  // The toolchain is of no interest for a revision.
  const paths = machinePaths(options.machines, volume, options.name, "none");
  await using undo = new AsyncDisposableStack();
  const temporary = await newRevisionPath(paths);
  await removeAbandoned(paths, storage);
  await storage.createSubvolume(temporary, signal);
  undo.defer(() => storage.remove(temporary));
  const digest = await createImage(temporary, options);
  await writeManifest(paths, temporary, digest, options);
  signal?.throwIfAborted();
  options.onStep("publishing");
  const revision = await publishRevision(storage, paths, temporary);
  undo.move();
  return `${paths.current}.${revision}`;
}

/** Much longer than anything that makes a revision may take. */
const abandonedAfterMilliseconds = 6 * 3600 * 1000;

/** Removes unfinished revisions of processes that were killed. */
async function removeAbandoned(paths: MachinePaths, storage: Storage): Promise<void> {
  for (const name of await readdir(paths.directory)) {
    if (!name.startsWith(`.${basename(paths.current)}.`) || !name.endsWith(".new")) continue;
    const path = join(paths.directory, name);
    const changed = await stat(path).catch(() => undefined); // somebody else may have removed it
    if (!changed || Date.now() - changed.mtimeMs < abandonedAfterMilliseconds) continue;
    await removeWork(path);
    await storage.remove(path);
  }
}

/**
 * The revision's number is for people, the digest makes the id unique even if revisions are removed and their numbers
 * used again: agents bootstrap anew when, and only when, the id changes.
 */
async function writeManifest(
  paths: MachinePaths,
  directory: string,
  digest: string,
  options: CreateMachineOptions,
): Promise<void> {
  const id = `${options.name}-${bootstrapProtocol}.${nextRevision(paths)}-${digest.slice(0, 12)}`;
  const manifest = formatMachine({ id, name: options.name, summary: options.summary, type: "kvm" });
  await writeFile(manifestPath(directory), manifest);
}

function findVolume(machines: string, name: string): string {
  try {
    const volumes = visibleDirectories(readdirSync(machines, { withFileTypes: true }));
    return volumes.find((volume) => existsSync(join(machines, volume, name))) ?? volumes[0] ?? "default";
  } catch (error) {
    throw new Failure(`use '${machines}' for machines`, reasonOf(error), { cause: error });
  }
}

/**
 * Makes the machines directory if it is not there.
 *
 * @throws {Failure} if that is not possible.
 */
export async function makeMachinesDirectory(machines: string): Promise<void> {
  try {
    await makeDirectoryDurably(machines);
  } catch (error) {
    if (isSystemError(error, "EEXIST")) return;
    throw new Failure(`make directory '${machines}'`, reasonOf(error), {
      cause: error,
      hints: ["Say with --machines where machines are to be kept."],
    });
  }
}
