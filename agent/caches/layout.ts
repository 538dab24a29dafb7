/**
 * Caches of builds. A cache is a disk with a file system, for each repository; a build gets a clone of it, which is thrown away,
 * or becomes the next version.
 *
 *     NAME/PACKAGE-DIGEST/image        the version that builds get clones of: it is never written, only replaced, by a rename
 *     NAME/PACKAGE-DIGEST/about.json   whose it is; its time of change is that of the last use
 *     .clones/T-I/NAME.img             what instance I works on
 *     .new/DIGEST.img                  what a cache begins with: an empty file system, or the content of a directory
 *     .*.removed                       a version whose removal was begun
 *
 * After a crash at any point, each image is a whole version: a clone is on the disk before it gets the name of one. Clones are
 * cleared away by the next start of their instance, and removals by the next one that removes something.
 *
 * The host never mounts what a build has written: it may be made to break whoever reads it, and only machines do.
 *
 * Which cache a build gets follows from the package and the whole URL of its repository, so that one of a private repository is
 * given to nobody who has not that URL; and builds with secrets have caches apart, in which some of those may lie.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Task } from "../../manifests/task.ts";

/** Whose cache it is. */
export interface CacheOwner {
  package: string;
  /** Without what stands in it of a branch or a commit. */
  repository: string;
  /** Of builds that had secrets. */
  isSecret: boolean;
}

export function ownerOf(task: Pick<Task, "name" | "repositoryUrl">, isSecret: boolean): CacheOwner {
  return { package: task.name, repository: task.repositoryUrl.replace(/#.*$/s, ""), isSecret };
}

/** The directory of a cache. */
export function cachePath(directory: string, name: string, owner: CacheOwner): string {
  const { package: of, repository, isSecret } = owner;
  const digest = createHash("sha256").update(JSON.stringify([of, repository, isSecret]));
  const readable = of.replaceAll(/[^A-Za-z0-9_+-]/g, "_").slice(0, 60);
  return join(directory, name, `${readable}-${digest.digest("hex").slice(0, 32)}`);
}

export const imageName = "image";
export const aboutName = "about.json";
const clonesName = ".clones";
export const emptyName = ".new";

/** Where an instance has its clones. */
export function clonesPath(directory: string, instance: string): string {
  return join(directory, clonesName, instance);
}
