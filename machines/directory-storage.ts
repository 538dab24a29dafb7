import { link, mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { syncDirectory } from "../os/files/durable.ts";
import { Failure, hasNoRoom, isSystemError, reasonOf } from "../os/failure.ts";
import type { Log } from "../os/log.ts";
import { run } from "../os/run.ts";
import { withoutUndefined } from "../os/without-undefined.ts";
import { manifestPath } from "./layout.ts";
import { isDisk, isRemoved, isSavedState, removedName } from "./names.ts";
import type { RemoveOptions, Storage } from "./storage.ts";

const copyTimeoutSeconds = 3600; // a large disk, on a file system without shared extents
const overlayTimeoutSeconds = 60;
const removeTimeoutSeconds = 600;

/** Plain directories: for file systems without subvolumes, and for users without privileges. */
export class DirectoryStorage implements Storage {
  readonly kind = "directory";
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  async createSubvolume(path: string): Promise<void> {
    await makeDirectory(path);
  }

  async clone(from: string, to: string, signal?: AbortSignal): Promise<void> {
    await this.#fill(to, () => this.#copy(from, to, signal));
  }

  /** Disks become qcow2 overlays, so that a task's snapshot costs nothing here either; other files are linked. */
  async overlay(from: string, to: string, signal?: AbortSignal, disks = from): Promise<void> {
    await this.#fill(to, async () => {
      for (const [disk, overlay] of overlayNames(disks, await readdir(disks))) {
        signal?.throwIfAborted();
        await this.#overlayDisk(join(disks, disk), join(to, overlay), signal);
      }
      for (const entry of await readdir(from, { withFileTypes: true })) {
        signal?.throwIfAborted();
        const source = join(from, entry.name);
        if (isDisk(entry.name) || isSavedState(entry.name)) continue;
        if (!entry.isFile() || !(await linked(source, join(to, entry.name))))
          await this.#copy(source, join(to, entry.name), signal);
      }
    });
  }

  async remove(path: string, { isTemporary = false }: RemoveOptions = {}): Promise<void> {
    const name = basename(path);
    let away = path;
    // Removing takes time, and may be cut short: half a machine must not stand under the name of a whole one.
    if (!isRemoved(name)) {
      away = join(dirname(path), removedName(name));
      try {
        await rename(path, away);
        // Costly while guests write: the file system may first write all that they have written.
        if (!isTemporary) await syncDirectory(dirname(path));
      } catch (error) {
        if (isSystemError(error, "ENOENT", "ENOTDIR")) return;
        if (!hasNoRoom(error)) throw new Failure(`remove '${path}'`, reasonOf(error), { cause: error });
        // A btrfs whose metadata is full changes no name, and removes files all the same: that of a whole one first.
        away = path;
        await rm(manifestPath(path), { force: true });
      }
    }
    await this.#removeTree(away);
  }

  /** Makes a directory and fills it; nothing is left if that fails. */
  async #fill(to: string, fill: () => Promise<void>): Promise<void> {
    await makeDirectory(to);
    try {
      await fill();
    } catch (error) {
      await this.#removeTree(to).catch((reason: unknown) =>
        this.#log.warn({ path: to, reason: reasonOf(reason) }, "an incomplete copy is left"),
      );
      if (!(error instanceof Error && "syscall" in error)) throw error;
      throw new Failure(`make '${to}'`, reasonOf(error), { cause: error });
    }
  }

  /** By rm(1): that of Node.js says ENOTDIR, whatever keeps a file from being removed. */
  async #removeTree(path: string): Promise<void> {
    await this.#run(["rm", "-rf", "--", path], removeTimeoutSeconds, undefined);
  }

  async #copy(from: string, to: string, signal: AbortSignal | undefined): Promise<void> {
    await this.#run(["cp", "-a", "-T", "--reflink=auto", "--", from, to], copyTimeoutSeconds, signal);
  }

  async #overlayDisk(disk: string, overlay: string, signal: AbortSignal | undefined): Promise<void> {
    // Formats come from the name, never from the content: that is the guest's, who could claim any backing file.
    const format = disk.endsWith(".qcow2") ? "qcow2" : "raw";
    const argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", format, "-b", disk, overlay];
    await this.#run(argv, overlayTimeoutSeconds, signal);
  }

  async #run(
    argv: readonly string[],
    timeoutSeconds: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    await run(argv, {
      timeoutSeconds,
      ...withoutUndefined({ signal }),
      onLine: (line) => this.#log.output({ line }, argv[0]!),
    });
  }
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    throw new Failure(`make directory '${path}'`, reasonOf(error), { cause: error });
  }
}

/** Names of the overlays by those of the disks: another ending only, which keeps their order. */
function overlayNames(directory: string, names: readonly string[]): Map<string, string> {
  const overlays = new Map<string, string>();
  for (const name of names) {
    if (!isDisk(name)) continue;
    const stem = name.replace(/\.[a-z0-9]+$/, "");
    const overlay = `${stem}.qcow2`;
    if ([...overlays.values()].includes(overlay))
      throw new Failure(
        `make overlays of the disks in '${directory}'`,
        `there are two disks named '${stem}'`,
        {
          hints: ["Rename one of them."],
        },
      );
    overlays.set(name, overlay);
  }
  return overlays;
}

/** Makes a hard link where the file system and the file's owner allow it. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (isSystemError(error, "EPERM", "EACCES", "EMLINK", "EXDEV", "ENOSYS", "EOPNOTSUPP")) return false;
    throw error;
  }
}
