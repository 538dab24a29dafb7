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
import { copiesWithLocks, lockOthers, tryCopies, type HeldCopy } from "../copies.ts";
import { currentRevision, type MachinePaths } from "../layout.ts";
import type { MachineHold, MachineLock } from "../locks.ts";
import { readBootstrappedManifest, readMachineManifest } from "../manifest-files.ts";
import { PendingBootstrap } from "./pending-bootstrap.ts";
import { temporarySnapshot } from "../temporary-snapshot.ts";
import type { ToolchainLock } from "../toolchain-lock.ts";
import { typeRefusal } from "../virtual-machine.ts";

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

  /** @returns what others hold of it, and what it can be used for; if that is nothing, why has been logged. */
  async run(options: { mayBootstrap: boolean }): Promise<Found[]> {
    const { signal, pause = aSecond } = this.#context;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#examine(options.mayBootstrap);
      } catch (error) {
        if (!(error instanceof Gone)) throw error;
        signal?.throwIfAborted();
        if (attempt === retries) {
          this.#leaveOut(error.cause ?? error.message);
          return [];
        }
      }
      await pause(signal);
    }
  }

  /**
   * Looks at a machine of which a copy has become free after it was looked at, and which the caller has locked.
   *
   * @returns undefined if it is not ready (any more): removed, replaced, or to be bootstrapped first.
   */
  async recheck(lock: MachineLock): Promise<LockedMachine | undefined> {
    try {
      const revision = currentRevision(this.#paths);
      const found = revision === undefined ? undefined : await this.#compare(lock, revision, false, []);
      return found?.state === "locked" ? found : undefined;
    } catch (error) {
      if (error instanceof Gone) return undefined;
      throw error;
    }
  }

  async #examine(mayBootstrap: boolean): Promise<Found[]> {
    const revision = currentRevision(this.#paths);
    this.hasCurrentRevision = revision !== undefined;
    if (revision === undefined && !existsSync(this.#paths.bootstrapped) && !this.#hasLocks()) return []; // nothing to tidy up, and nobody can hold it
    const copies = this.#tryCopies();
    if (copies === undefined) return [];
    const { free, held } = copies;
    if (!free) return held.map((copy) => this.#held(copy, revision));
    using release = new DisposableStack();
    release.use(free);
    if (revision === undefined) {
      await this.#forget(free, held);
      return held.map((copy) => this.#held(copy, undefined));
    }
    const found = await this.#compare(free, revision, mayBootstrap, held);
    if (found) release.move();
    // Of a machine that is not ready, nobody's task gives way for another one.
    const others = held.map((copy) => this.#held(copy, found?.state === "locked" ? revision : undefined));
    return found ? [found, ...others] : others;
  }

  #hasLocks(): boolean {
    return copiesWithLocks(this.#paths).length > 0;
  }

  #tryCopies(): ReturnType<typeof tryCopies> | undefined {
    try {
      return tryCopies(this.#toolchainLock, this.#paths, this.#context.copies);
    } catch (error) {
      assertFailure(error);
      if (isSystemError(error.cause, "ENOENT", "ENOTDIR")) return undefined; // the machine has been removed
      return this.#leaveOut(error);
    }
  }

  #held({ paths, holder }: HeldCopy, revision: string | undefined): HeldMachine {
    const readable = holder.priority !== undefined && revision !== undefined;
    const manifest = readable ? this.#readable(() => readMachineManifest(paths, revision)) : undefined;
    return { state: "held", paths, holder, manifest };
  }

  async #forget(free: MachineLock, held: readonly HeldCopy[]): Promise<void> {
    if (currentRevision(this.#paths) !== undefined || !existsSync(this.#paths.bootstrapped)) return;
    using whole = held.length > 0 ? undefined : lockOthers(this.#toolchainLock, free, this.#context.copies);
    if (!whole) return; // builds begin on it while it is there
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

  async #compare(
    lock: MachineLock,
    revision: string,
    mayBootstrap: boolean,
    held: readonly HeldCopy[],
  ): Promise<LockedMachine | PendingBootstrap | undefined> {
    const machine = this.#readable(() => {
      const read = readMachineManifest(this.#paths, revision);
      if (!read) throw new Gone(`'${revision}' has no manifest`);
      return read;
    });
    if (!machine) return undefined;
    if (machine.type !== "kvm") return this.#leaveOut(typeRefusal(machine.type));
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
    if (reason === undefined) return { state: "locked", paths: lock.paths, lock, manifest: bootstrapped! };
    if (!mayBootstrap || this.#isHeldBack(machine)) return undefined;
    const whole = held.length > 0 ? undefined : lockOthers(this.#toolchainLock, lock, this.#context.copies);
    if (!whole) return this.#waitForCopies(held);
    this.#context.bootstrapWaits.ended(this.#paths.directory);
    this.#log.step({ machine: this.#paths.name }, `to be bootstrapped: ${reason}`);
    using onFailure = new DisposableStack();
    onFailure.use(whole);
    const pending = await this.#prepareBootstrap(whole, revision, bootstrapped);
    if (pending) onFailure.move();
    return pending;
  }

  /** Nobody offers the machine, so the builds on its copies are the last ones. */
  #waitForCopies(held: readonly HeldCopy[]): undefined {
    const minutes = this.#context.bootstrapWaits.waits(this.#paths.directory);
    const holders = held.map(({ paths: { copy }, holder }) => ({ copy, ...holder }));
    const text = "machine is to be bootstrapped, as soon as others are done with its copies";
    const fields = { machine: this.#paths.name, holders };
    if (minutes === undefined) this.#log.debug(fields, text);
    else this.#log.warn({ ...fields, minutes }, text);
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
    lock: MachineHold,
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
