import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { Failure, isSystemError, reasonOf } from "../os/failure.ts";
import type { Log } from "../os/log.ts";
import { run } from "../os/run.ts";
import { BtrfsStorage } from "./btrfs.ts";
import { DirectoryStorage } from "./directory-storage.ts";
import type { RemoveOptions, Storage, StorageKind } from "./storage.ts";

/**
 * Opens the storage of a machines directory.
 *
 * `auto` looks at each volume, as volumes may be file systems of their own: btrfs for root on btrfs, else directories.
 *
 * @throws {Failure} if the directory is not there, or not on btrfs when that is asked for.
 */
export async function openStorage(directory: string, kind: "auto" | StorageKind, log: Log): Promise<Storage> {
  const onBtrfs = (await fileSystemType(directory)) === btrfsMagic;
  if (kind === "directory") return new DirectoryStorage(log);
  if (kind === "auto") return new AutomaticStorage(log);
  if (!onBtrfs)
    throw new Failure(`use btrfs storage in '${directory}'`, "it is not on a btrfs file system", {
      hints: ["Use --storage directory, or make it a btrfs file system."],
    });
  await run(["btrfs", "--version"], { timeoutSeconds: 60 });
  return new BtrfsStorage(log, new DirectoryStorage(log));
}

/** File system type of btrfs in statfs(2) (linux/magic.h). */
export const btrfsMagic = 0x9123683e;

/** Undefined if the directory is not there, and may not be. */
async function fileSystemType(path: string, mustExist = true): Promise<number | undefined> {
  try {
    return (await statfs(path)).type;
  } catch (error) {
    if (!mustExist && isSystemError(error, "ENOENT", "ENOTDIR")) return undefined;
    throw new Failure(`use '${path}' for machines`, reasonOf(error), { cause: error });
  }
}

class AutomaticStorage implements Storage {
  readonly kind = "auto";
  readonly #directory: DirectoryStorage;
  readonly #btrfs: BtrfsStorage;

  constructor(log: Log) {
    this.#directory = new DirectoryStorage(log);
    this.#btrfs = new BtrfsStorage(log, this.#directory);
  }

  async createSubvolume(path: string, signal?: AbortSignal): Promise<void> {
    await (await this.#at(path)).createSubvolume(path, signal);
  }

  async clone(from: string, to: string, signal?: AbortSignal): Promise<void> {
    await (await this.#at(to)).clone(from, to, signal);
  }

  async overlay(from: string, to: string, signal?: AbortSignal, disks?: string): Promise<void> {
    await (await this.#at(to)).overlay(from, to, signal, disks);
  }

  async remove(path: string, options?: RemoveOptions): Promise<void> {
    await (await this.#at(path)).remove(path, options);
  }

  async #at(path: string): Promise<Storage> {
    // Without privileges, subvolumes could be made but not removed.
    const isRoot = process.geteuid?.() === 0;
    return isRoot && (await fileSystemType(dirname(path), false)) === btrfsMagic
      ? this.#btrfs
      : this.#directory;
  }
}
