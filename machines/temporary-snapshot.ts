import { lstatSync } from "node:fs";
import { chmod, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { syncDirectory } from "../os/files/durable.ts";
import { Failure, reasonOf } from "../os/failure.ts";
import type { Log } from "../os/log.ts";
import type { MachinePaths } from "./layout.ts";
import { randomTail } from "./names.ts";
import type { Storage } from "./storage.ts";

export interface TemporarySnapshotOptions {
  /** What it is made from. */
  from: string;
  /** The machine and toolchain it is made for. */
  paths: MachinePaths;
  /** Number of the instance that makes it. */
  instance: number;
  /** `clone`: to be published; `overlay`: to be thrown away. */
  mode: "clone" | "overlay";
  /** Of an overlay: the directory whose disks it is based on; by default those of `from`. */
  disks?: string;
  log: Log;
  signal?: AbortSignal;
}

/**
 * A snapshot `M-T-I-xxxxxx`. Disposing removes it, unless it has got another name; a failure to do so is logged only,
 * the next start tries again (stale.ts).
 */
export class TemporarySnapshot implements AsyncDisposable {
  readonly path: string;
  readonly #storage: Storage;
  readonly #log: Log;
  #ours = true;

  /** Use {@link temporarySnapshot}. */
  constructor(path: string, storage: Storage, log: Log) {
    this.path = path;
    this.#storage = storage;
    this.#log = log;
  }

  /**
   * Gives it a name for good, in the same directory; durable when this returns.
   *
   * @throws {Failure} if that fails, for instance because there is something of that name.
   */
  async rename(to: string): Promise<void> {
    try {
      await rename(this.path, to);
      this.#ours = false;
      await syncDirectory(dirname(to));
    } catch (error) {
      throw new Failure(`rename '${this.path}' to '${to}'`, reasonOf(error), { cause: error });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ours) return;
    this.#ours = false;
    try {
      await this.#storage.remove(this.path, { isTemporary: true });
    } catch (error) {
      this.#log.error({ path: this.path, reason: reasonOf(error) }, "a temporary snapshot is left");
    }
  }
}

/**
 * Makes a temporary snapshot.
 *
 * @throws {Failure} and leaves nothing, if that fails.
 */
export async function temporarySnapshot(
  storage: Storage,
  options: TemporarySnapshotOptions,
): Promise<TemporarySnapshot> {
  const { from, paths, instance, mode, disks, log, signal } = options;
  const path = freeName(`${paths.bootstrapped}-${instance}-`);
  if (mode === "clone") await storage.clone(from, path, signal);
  else await storage.overlay(from, path, signal, disks);
  const snapshot = new TemporarySnapshot(path, storage, log);
  if (mode === "overlay") await closeToOthers(snapshot);
  return snapshot;
}

/** A build's sources and results are nobody's but its agent's: what is published belongs to everybody, what a task makes does not. */
async function closeToOthers(snapshot: TemporarySnapshot): Promise<void> {
  try {
    await chmod(snapshot.path, 0o700);
  } catch (error) {
    await snapshot[Symbol.asyncDispose]();
    throw new Failure(`close '${snapshot.path}' to other users`, reasonOf(error), { cause: error });
  }
}

function freeName(prefix: string): string {
  for (;;) {
    const path = prefix + randomTail();
    if (!lstatSync(path, { throwIfNoEntry: false })) return path;
  }
}
