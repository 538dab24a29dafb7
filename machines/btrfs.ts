import { accessSync, constants } from "node:fs";
import { lstat, readdir, rename, rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { Failure, isSystemError, reasonOf } from "../os/failure.ts";
import type { Log } from "../os/log.ts";
import { ProgramFailure, run } from "../os/run.ts";
import { withoutUndefined } from "../os/without-undefined.ts";
import type { DirectoryStorage } from "./directory-storage.ts";
import { isDisk } from "./names.ts";
import type { RemoveOptions, Storage } from "./storage.ts";

// A snapshot waits for the file system's transaction, and that for all the data that guests have written.
const timeoutSeconds = 600;

/** Subvolumes: snapshots cost nothing, and removing is one step. */
export class BtrfsStorage implements Storage {
  readonly kind = "btrfs";
  readonly #log: Log;
  readonly #plain: DirectoryStorage;

  /** @param plain for what is a plain directory, because an operator made it with `mkdir` or `cp`. */
  constructor(log: Log, plain: DirectoryStorage) {
    this.#log = log;
    this.#plain = plain;
  }

  async createSubvolume(path: string, signal?: AbortSignal): Promise<void> {
    await this.#make(path, ["create", path], signal);
  }

  async clone(from: string, to: string, signal?: AbortSignal): Promise<void> {
    if (await isSubvolume(from)) await this.#make(to, ["snapshot", from, to], signal);
    else await this.#plain.clone(from, to, signal);
  }

  async overlay(from: string, to: string, signal?: AbortSignal, disks?: string): Promise<void> {
    await this.clone(from, to, signal); // of a plain directory: with shared extents, as cheap as an overlay
    if (disks === undefined) return;
    try {
      await replaceDisks(to, join(to, relative(from, disks)));
    } catch (error) {
      await this.remove(to, { isTemporary: true });
      throw new Failure(`use the disks of '${disks}'`, reasonOf(error), { cause: error });
    }
  }

  async remove(path: string, options?: RemoveOptions): Promise<void> {
    if (!(await exists(path))) return;
    if (!(await isSubvolume(path))) return this.#plain.remove(path, options);
    if (isReadOnly(path)) {
      await this.#btrfs(["property", "set", "-ts", path, "ro", "false"]).catch((error: unknown) => {
        // Of a received subvolume it must not be changed; it can be deleted all the same, at least by root.
        if (error instanceof ProgramFailure) this.#log.warn({ path, output: error.output }, error.message);
        else throw error;
      });
    }
    await this.#btrfs(["subvolume", "delete", path]);
  }

  async #make(path: string, args: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    // btrfs would make the snapshot inside a directory that is there.
    if (await exists(path)) throw new Failure(`make subvolume '${path}'`, "it exists already");
    try {
      await this.#btrfs(["subvolume", ...args], signal);
    } catch (error) {
      if (await exists(path)) await this.remove(path); // interrupted just after it was made
      throw error;
    }
  }

  async #btrfs(args: readonly string[], signal?: AbortSignal): Promise<void> {
    await run(["btrfs", ...args], {
      timeoutSeconds,
      ...withoutUndefined({ signal }),
      onLine: (line) => this.#log.output({ line }, "btrfs"),
    });
  }
}

async function replaceDisks(to: string, disks: string): Promise<void> {
  for (const name of await readdir(to)) if (isDisk(name)) await rm(join(to, name));
  for (const name of await readdir(disks)) if (isDisk(name)) await rename(join(disks, name), join(to, name));
}

/** True for the root of a subvolume: only that has inode 256 (BTRFS_FIRST_FREE_OBJECTID). */
async function isSubvolume(path: string): Promise<boolean> {
  try {
    const found = await lstat(path);
    return found.isDirectory() && found.ino === 256;
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENOTDIR")) throw missing(path, error);
    throw error;
  }
}

function missing(path: string, cause: unknown): Failure {
  return new Failure(`use subvolume '${path}'`, "no such file or directory", { cause });
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

function isReadOnly(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return false;
  } catch (error) {
    return isSystemError(error, "EROFS");
  }
}
