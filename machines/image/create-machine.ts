import { existsSync, readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectoryDurably } from "../../os/files/durable.ts";
import { Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { formatMachine } from "../../manifests/machine.ts";
import {
  bootstrapProtocol,
  machinePaths,
  manifestPath,
  type MachinePaths,
  visibleDirectories,
} from "../layout.ts";
import { nextRevision, publishRevision } from "../revisions.ts";
import type { Storage } from "../storage.ts";
import { createImage, type ImageOptions } from "./create-image.ts";
import { beginRevision } from "./making.ts";
import { writeRecipe } from "./recipe.ts";

export interface CreateMachineOptions extends ImageOptions {
  name: string;
  /** The machines directory; must be there. */
  machines: string;
  /** Name of the volume; without it, the one that has the machine, else the first, else `default`. */
  volume?: string;
  storage: Storage;
  /** Id of a revision: one of the same content is not published. */
  exceptId?: string;
}

/**
 * Makes a revision of a machine from Debian packages and publishes it. Until then it has a hidden name; if anything
 * fails or is interrupted, nothing is left.
 *
 * @returns the path of the revision; undefined if there is one of this content (`exceptId`).
 * @throws {Failure} if the image cannot be made or published; the signal's reason if aborted.
 */
export async function createMachine(options: CreateMachineOptions): Promise<string | undefined> {
  const { storage, signal, exceptId } = options;
  const volume = options.volume ?? findVolume(options.machines, options.name);
  // The toolchain is of no interest for a revision.
  const paths = machinePaths(options.machines, volume, options.name, "none");
  await using making = await beginRevision(storage, paths, signal);
  const digest = await createImage(making.path, options);
  const tail = `-${digest.slice(0, 12)}`;
  if (exceptId?.endsWith(tail)) return undefined;
  await writeRecipe(making.path, options.recipe);
  await writeManifest(paths, making.path, tail, options);
  signal?.throwIfAborted();
  options.onStep("publishing");
  await making.finish();
  const revision = await publishRevision(storage, paths, making.path);
  return `${paths.current}.${revision}`;
}

/**
 * The revision's number is for people, the digest makes the id unique even if revisions are removed and their numbers
 * used again: agents bootstrap anew when, and only when, the id changes.
 */
async function writeManifest(
  paths: MachinePaths,
  directory: string,
  tail: string,
  { name, recipe }: CreateMachineOptions,
): Promise<void> {
  const id = `${name}-${bootstrapProtocol}.${nextRevision(paths)}${tail}`;
  const manifest = formatMachine({
    ...{ id, name, summary: recipe.summary, type: "kvm" },
    ...withoutUndefined({ role: recipe.role }),
  });
  await writeFile(manifestPath(directory), manifest);
}

/**
 * The volume that a machine is to be in: the one that has it, else the first, else `default`.
 *
 * @throws {Failure} if the machines directory cannot be read.
 */
export function findVolume(machines: string, name: string): string {
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
