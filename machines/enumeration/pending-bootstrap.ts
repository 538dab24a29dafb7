import { chmod } from "node:fs/promises";
import { writeDurably } from "../../os/files/durable.ts";
import { Failure, reasonOf } from "../../os/failure.ts";
import { formatBootstrappedMachine, type BootstrappedMachine } from "../../manifests/bootstrapped-machine.ts";
import type { Machine } from "../../manifests/machine.ts";
import type { BootstrapAttempt } from "./bootstrap-backoff.ts";
import { manifestPath, type MachinePaths } from "../layout.ts";
import type { MachineHold } from "../locks.ts";
import type { Storage } from "../storage.ts";
import { syncTree } from "../sync-tree.ts";
import type { TemporarySnapshot } from "../temporary-snapshot.ts";

/** A machine that is to be bootstrapped; disposing removes the snapshot (unless published), then the lock. */
export class PendingBootstrap implements AsyncDisposable {
  readonly state = "pending";
  readonly paths: MachinePaths;
  /** Of all its copies. */
  readonly lock: MachineHold;
  /** Of the current revision; becomes the bootstrapped machine. */
  readonly snapshot: TemporarySnapshot;
  /** As read from the snapshot. */
  readonly manifest: Machine;
  /** What is there now for this toolchain. */
  readonly obsolete: BootstrappedMachine | undefined;
  /** For {@link BootstrapBackoff}. */
  readonly attempt: BootstrapAttempt;

  constructor(parts: Omit<PendingBootstrap, "state" | typeof Symbol.asyncDispose>) {
    this.paths = parts.paths;
    this.lock = parts.lock;
    this.snapshot = parts.snapshot;
    this.manifest = parts.manifest;
    this.obsolete = parts.obsolete;
    this.attempt = parts.attempt;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    using _ = this.lock;
    await this.snapshot[Symbol.asyncDispose]();
  }
}

/**
 * Makes the snapshot of a pending bootstrap the bootstrapped machine, in place of the obsolete one. To be called with
 * the machine shut down and its lock held (it is part of `pending`).
 *
 * @throws {Failure} if that is not possible; then the snapshot is removed with `pending`.
 */
export async function publishBootstrapped(
  storage: Storage,
  pending: PendingBootstrap,
  manifest: BootstrappedMachine,
): Promise<void> {
  const { snapshot, paths } = pending;
  await writeManifest(manifestPath(snapshot.path), formatBootstrappedMachine(manifest));
  // The guest's writes are still in memory: after a power cut, the new name must not stand on half a disk.
  await syncTree(snapshot.path);
  await storage.remove(paths.bootstrapped);
  await snapshot.rename(paths.bootstrapped);
}

async function writeManifest(path: string, bytes: Uint8Array): Promise<void> {
  await writeDurably(path, bytes);
  try {
    await chmod(path, 0o644); // for `croft machine list`, whoever runs it
  } catch (error) {
    throw new Failure(`write '${path}'`, reasonOf(error), { cause: error });
  }
}
