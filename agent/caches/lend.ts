/** Clones of caches, for one build. */
import { existsSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { ExtraDisk } from "../../machines/virtual-machine.ts";
import { assertFailure, attempt } from "../../os/failure.ts";
import { cloneFile } from "../../os/files/clone.ts";
import { makeDirectory, removeDirectories } from "../../os/files/directories.ts";
import type { Log } from "../../os/log.ts";
import { formatBytes } from "../../os/text/size.ts";
import type { CacheSetting } from "../settings/cache-setting.ts";
import { instanceName, type Settings } from "../settings/settings.ts";
import { emptyImage } from "./empty.ts";
import { cachePath, clonesPath, imageName, type CacheOwner } from "./layout.ts";
import { noteUse, promote, prune } from "./versions.ts";

type CacheSettings = Pick<Settings, "caches" | "cacheDirectory" | "cacheMaxBytes" | "toolchain" | "instance">;

/** What a machine is given. Disposed of when the machine is gone. */
export interface LentCaches extends AsyncDisposable {
  readonly disks: readonly ExtraDisk[];
  /** Has what the build leaves become the next version. */
  keep(): void;
}

export const noCaches: LentCaches = {
  disks: [],
  keep: () => {},
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

/** The guest's worker looks for these (worker/guest/parts/65-caches.sh). */
const serialOf = ({ name }: CacheSetting) => `croft-${name}`;

/** Where an instance's clones are. */
export function clonesOf(settings: Pick<Settings, "cacheDirectory" | "toolchain" | "instance">): string {
  return clonesPath(settings.cacheDirectory, instanceName(settings));
}

function disksOf(settings: CacheSettings): ExtraDisk[] {
  const directory = clonesOf(settings);
  return settings.caches.map((cache) => ({
    path: join(directory, `${cache.name}.img`),
    serial: serialOf(cache),
  }));
}

/**
 * The files of clones that are made later, into the same files, by {@link lendCaches}: for a machine that has them open before
 * it has a task.
 *
 * @throws {Failure} if they cannot be made.
 */
export async function clonesToCome(settings: CacheSettings): Promise<ExtraDisk[]> {
  const disks = disksOf(settings);
  if (disks.length > 0) await makeDirectory(clonesOf(settings));
  for (const { path } of disks)
    await attempt(
      `make '${path}'`,
      open(path, "a", 0o600).then((file) => file.close()),
    );
  return disks;
}

/**
 * Makes the clones for a build; each begins with what its repository's cache has, or with nothing.
 *
 * A build does not fail for want of a cache: what is wrong is told, and it gets none.
 *
 * @throws the signal's reason if aborted.
 */
export async function lendCaches(
  settings: CacheSettings,
  owner: CacheOwner,
  log: Log,
  signal: AbortSignal,
): Promise<LentCaches> {
  if (settings.caches.length === 0) return noCaches;
  const disks = disksOf(settings);
  const clear = () => removeDirectories(clonesOf(settings));
  try {
    await makeDirectory(clonesOf(settings));
    for (const [index, cache] of settings.caches.entries())
      await fill(settings.cacheDirectory, cache, owner, disks[index]!.path, signal);
  } catch (error) {
    signal.throwIfAborted();
    assertFailure(error);
    log.warn({ reason: error.message }, "build goes without caches");
    return { ...noCaches, [Symbol.asyncDispose]: clear };
  }
  let isKept = false;
  return {
    disks,
    keep: () => void (isKept = true),
    [Symbol.asyncDispose]: async () => {
      if (isKept) await keepAll(settings, owner, disks, log);
      await clear();
    },
  };
}

async function fill(
  directory: string,
  cache: CacheSetting,
  owner: CacheOwner,
  clone: string,
  signal: AbortSignal,
): Promise<void> {
  const path = cachePath(directory, cache.name, owner);
  const image = join(path, imageName);
  if (existsSync(image)) {
    try {
      await cloneFile(image, clone, signal);
      return await noteUse(path);
    } catch (error) {
      signal.throwIfAborted();
      if (existsSync(image)) throw error; // else it was removed just now, for its room
    }
  }
  await cloneFile(await emptyImage(directory, cache, signal), clone, signal);
}

async function keepAll(
  { caches, cacheDirectory, cacheMaxBytes }: CacheSettings,
  owner: CacheOwner,
  disks: readonly ExtraDisk[],
  log: Log,
): Promise<void> {
  for (const [index, { name }] of caches.entries()) {
    try {
      await promote(cacheDirectory, name, owner, disks[index]!.path);
      log.step({ cache: name }, "cache has a new version");
    } catch (error) {
      assertFailure(error);
      log.warn({ cache: name, reason: error.message }, "cache stays as it was");
    }
  }
  try {
    const within = (version: { bytes: number }, others: number) => others + version.bytes <= cacheMaxBytes;
    for (const { path, bytes } of await prune(cacheDirectory, within))
      log.info({ path, size: formatBytes(bytes) }, "cache removed: all of them take more room than they may");
  } catch (error) {
    assertFailure(error);
    log.warn({ reason: error.message }, "caches not pruned");
  }
}
