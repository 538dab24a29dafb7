import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure, isSystemError, assertFailure } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { compareVersions } from "../../manifests/version.ts";
import type { BootstrappedMachine } from "../../manifests/bootstrapped-machine.ts";
import type { Machine } from "../../manifests/machine.ts";
import type { EnumerationContext } from "./enumeration-context.ts";
import type { HeldMachine, LockedMachine } from "./enumeration.ts";
import { currentRevision, type MachinePaths } from "../layout.ts";
import { MachineLock, tryMachineLock, type Holder } from "../locks.ts";
import { readBootstrappedManifest, readMachineManifest } from "../manifest-files.ts";
import { PendingBootstrap } from "./pending-bootstrap.ts";
import { temporarySnapshot } from "../temporary-snapshot.ts";
import type { ToolchainLock } from "../toolchain-lock.ts";

const retries = 10;

type Found = LockedMachine | HeldMachine | PendingBootstrap;

/** Something was gone that was there a moment ago: the machine is looked up again from the start. */
class Gone extends Error {}

/** Looks at one machine; see {@link enumerateMachines}. */
export class MachineExamination {
  hasCurrentRevision = false;
  readonly #context: EnumerationContext;
  readonly #toolchainLock: ToolchainLock;
  readonly #paths: MachinePaths;
  readonly #log: Log;

  constructor(context: EnumerationContext, toolchainLock: ToolchainLock, paths: MachinePaths) {
    this.#context = context;
    this.#toolchainLock = toolchainLock;
    this.#paths = paths;
    this.#log = context.log;
  }

  /** @returns undefined if the machine is in no state to be used; why has been logged. */
  async run(options: { mayBootstrap: boolean }): Promise<Found | undefined> {
    const { signal, pause = aSecond } = this.#context;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#examine(options.mayBootstrap);
      } catch (error) {
        if (!(error instanceof Gone)) throw error;
        signal?.throwIfAborted();
        if (attempt === retries) return this.#leaveOut(error.cause ?? error.message);
      }
      await pause(signal);
    }
  }

  /**
   * Looks at a machine that has become free after it was looked at, and that the caller has locked.
   *
   * @returns undefined if it is not ready (any more): removed, replaced, or to be bootstrapped first.
   */
  async recheck(lock: MachineLock): Promise<LockedMachine | undefined> {
    try {
      const revision = currentRevision(this.#paths);
      const found = revision === undefined ? undefined : await this.#compare(lock, revision, false);
      return found?.state === "locked" ? found : undefined;
    } catch (error) {
      if (error instanceof Gone) return undefined;
      throw error;
    }
  }

  async #examine(mayBootstrap: boolean): Promise<Found | undefined> {
    const revision = currentRevision(this.#paths);
    this.hasCurrentRevision = revision !== undefined;
    if (revision === undefined && !existsSync(this.#paths.bootstrapped) && !existsSync(this.#paths.lock))
      return undefined; // nothing to tidy up, and nobody can hold it
    using release = new DisposableStack();
    const lock = this.#tryLock();
    if (lock === undefined) return undefined;
    if (!(lock instanceof MachineLock)) return this.#held(lock, revision);
    release.use(lock);
    if (revision === undefined) {
      await this.#forget();
      return undefined;
    }
    const found = await this.#compare(lock, revision, mayBootstrap);
    if (found) release.move();
    return found;
  }

  #tryLock(): MachineLock | Holder | undefined {
    try {
      return tryMachineLock(this.#toolchainLock, this.#paths);
    } catch (error) {
      assertFailure(error);
      if (isSystemError(error.cause, "ENOENT", "ENOTDIR")) return undefined; // the machine has been removed
      return this.#leaveOut(error);
    }
  }

  #held(holder: Holder, revision: string | undefined): HeldMachine {
    const readable = holder.priority !== undefined && revision !== undefined;
    const manifest = readable ? this.#readable(() => readMachineManifest(this.#paths, revision)) : undefined;
    return { state: "held", paths: this.#paths, holder, manifest };
  }

  async #forget(): Promise<void> {
    if (currentRevision(this.#paths) !== undefined || !existsSync(this.#paths.bootstrapped)) return;
    this.#log.info(
      { machine: this.#paths.name },
      "removing a bootstrapped machine that has no current revision",
    );
    try {
      await this.#context.storage.remove(this.#paths.bootstrapped);
    } catch (error) {
      assertFailure(error);
      this.#leaveOut(error);
    }
  }

  async #compare(lock: MachineLock, revision: string, mayBootstrap: boolean): Promise<Found | undefined> {
    const machine = this.#readable(() => {
      const read = readMachineManifest(this.#paths, revision);
      if (!read) throw new Gone(`'${revision}' has no manifest`);
      return read;
    });
    if (!machine) return undefined;
    if (machine.type !== "kvm") return this.#leaveOut(`machines of type ${machine.type} are not supported`);
    if (machine.role === "auxiliary") {
      // It has no worker that could be bootstrapped, and builds nothing.
      this.#log.milestone({ machine: this.#paths.name }, "left alone: it is an auxiliary machine");
      return undefined;
    }
    let bootstrapped: BootstrappedMachine | undefined;
    try {
      bootstrapped = readBootstrappedManifest(this.#paths);
    } catch (error) {
      assertFailure(error);
      return this.#leaveOut(error, `Remove '${this.#paths.bootstrapped}' to have it bootstrapped again.`);
    }
    const reason = this.#reasonToBootstrap(machine, bootstrapped);
    if (reason === "newer") {
      const text = "left alone: it was bootstrapped for a newer worker, this agent is about to be upgraded";
      this.#log.milestone({ machine: this.#paths.name }, text);
      return undefined;
    }
    if (reason === undefined) return { state: "locked", paths: this.#paths, lock, manifest: bootstrapped! };
    if (!mayBootstrap || this.#isHeldBack(machine)) return undefined;
    this.#log.step({ machine: this.#paths.name }, `to be bootstrapped: ${reason}`);
    return this.#prepareBootstrap(lock, revision, bootstrapped);
  }

  /** Why the machine has to be bootstrapped (again), `newer` if it must be left alone, undefined if it is up to date. */
  #reasonToBootstrap(machine: Machine, bootstrapped: BootstrappedMachine | undefined): string | undefined {
    if (!bootstrapped) return "there is none for this toolchain";
    const theirs = bootstrapped.bootstrap.versions["croft"];
    const ours = this.#context.workerVersion;
    const age = theirs === undefined || ours === undefined ? 0 : compareVersions(theirs, ours);
    if (age > 0) return "newer";
    if (bootstrapped.machine.id !== machine.id)
      return `machine ${machine.id} replaces ${bootstrapped.machine.id}`;
    const { id } = this.#context.toolchain;
    if (id !== "" && bootstrapped.toolchain.id !== id) return "the toolchain has changed";
    return age < 0 ? `worker ${ours} replaces ${theirs}` : undefined;
  }

  #isHeldBack(machine: Machine): boolean {
    const seconds = this.#context.bootstrapBackoff.remainingSeconds(this.#attempt(machine));
    if (seconds === 0) return false;
    const text = `left alone for ${Math.ceil(seconds)} s more: its bootstrap failed`;
    this.#log.milestone({ machine: this.#paths.name }, text);
    return true;
  }

  #attempt(machine: Machine) {
    const subject = JSON.stringify([machine.id, this.#context.toolchain.id, this.#context.workerVersion]);
    return { directory: this.#paths.directory, subject };
  }

  async #prepareBootstrap(
    lock: MachineLock,
    revision: string,
    obsolete: BootstrappedMachine | undefined,
  ): Promise<PendingBootstrap | undefined> {
    const { storage, instance, signal } = this.#context;
    const paths = this.#paths;
    lock.write(this.#toolchainLock); // the copy may take minutes, in which somebody may ask who has the machine
    const snapshot = await temporarySnapshot(storage, {
      from: revision,
      paths,
      instance,
      mode: "clone",
      log: this.#log,
      ...withoutUndefined({ signal }),
    }).catch((error: unknown) => {
      assertFailure(error);
      throw new Gone("no snapshot", { cause: error });
    });
    await using onFailure = new AsyncDisposableStack();
    onFailure.use(snapshot);
    // What was compared above may not be what the snapshot has: an operator may have replaced the revision.
    const manifest = this.#readable(() => {
      const read = readMachineManifest(paths, snapshot.path);
      if (!read) throw new Gone(`the snapshot of '${revision}' has no manifest`);
      return read;
    });
    if (!manifest) return undefined;
    onFailure.move();
    return new PendingBootstrap({
      paths,
      lock,
      snapshot,
      manifest,
      obsolete,
      attempt: this.#attempt(manifest),
    });
  }

  /** Reads a manifest; an unusable one is logged, and undefined. */
  #readable<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (error instanceof Failure) return this.#leaveOut(error);
      throw error;
    }
  }

  #leaveOut(reason: unknown, hint?: string): undefined {
    const fields = { machine: this.#paths.name, volume: this.#paths.volume, ...withoutUndefined({ hint }) };
    this.#log.error(
      fields,
      `machine is left out: ${reason instanceof Error ? reason.message : String(reason)}`,
    );
  }
}

async function aSecond(signal: AbortSignal | undefined): Promise<void> {
  await sleep(1000, undefined, { signal }).catch(() => {});
  signal?.throwIfAborted();
}
