/**
 * A machine that is restored before there is a task for it: the one that the instance used last, standing still where it
 * waits for a task, on a snapshot of its own.
 *
 * It runs nothing, has heard nothing from the agent yet, and is in no network: on a bridge, where each copy has an address of
 * its own, it has one when it is taken. So it needs no lock, and others may use the machine that it is a
 * copy of, or replace it. Whoever takes it holds the machine's lock, and the machine and its saved state are still what they
 * were, to the times of their files. Everything else has it thrown away: a task for another machine, a bootstrap, a reload,
 * memory that gets scarce, the agent's end. A crash leaves what a crash leaves of any machine: QEMU dies with the agent, and the
 * successor removes the snapshot.
 *
 * While it is kept, nothing happens: it is looked at when the agent looks at its machines anyway.
 */
import { reasonOf } from "../../os/failure.ts";
import type { MachinePaths } from "../../machines/layout.ts";
import { networkState } from "../../machines/network/host-network.ts";
import { temporarySnapshot } from "../../machines/temporary-snapshot.ts";
import { warmDirectory, type WarmState } from "../../machines/warm/state.ts";
import { availableMemoryKiB } from "../../os/memory.ts";
import { freshDirectories, removeDirectories } from "../../os/files/directories.ts";
import { clonesToCome } from "../caches/lend.ts";
import { aheadObstacle, ramFor, usableState, type WarmSubject } from "../settings/warm.ts";
import { randomMac, startRestored } from "./boot.ts";
import type { AheadContext, AheadMachine, MachineKeeper } from "./kept-machine.ts";

interface Kept extends AheadMachine {
  subject: WarmSubject;
  /** The state that it was restored from. */
  state: WarmState;
  hasEnded: boolean;
  /** What the host's network was like; the machine has no place in it yet. */
  network: string | undefined;
  /** Where it would exchange files, which are a task's afterwards. */
  directories: readonly string[];
}

export class Ahead implements MachineKeeper {
  #kept: Kept | undefined;
  /** The machine that was used last; undefined if it is not to be kept. */
  #last: string | undefined;

  async isWanted({ settings, log }: AheadContext, subject: WarmSubject): Promise<boolean> {
    if (this.#kept || subject.paths.bootstrapped !== this.#last || aheadObstacle(settings)) return false;
    if (!("state" in usableState(settings, subject))) return false;
    const { needed, available } = memoryFor(settings, subject);
    if (available >= needed.toKeep) return true;
    log.debug({ machine: subject.paths.name, available, needed }, "too little memory to restore it ahead");
    return false;
  }

  async keep(context: AheadContext, subject: WarmSubject, signal: AbortSignal): Promise<void> {
    const { settings, storage, directories } = context;
    const { paths, bootstrapped } = subject;
    const log = context.log.child({ machine: paths.name });
    await this.discard();
    const found = usableState(settings, subject);
    if (!("state" in found)) return;
    const disks = warmDirectory(paths);
    const network = networkState(settings.network); // before: what changes meanwhile is seen
    await using undo = new AsyncDisposableStack();
    try {
      await freshDirectories(directories.get, directories.put);
      const { instance } = settings;
      const snapshot = undo.use(
        await temporarySnapshot(storage, {
          ...{ from: paths.bootstrapped, paths, instance, mode: "overlay", disks, log, signal },
        }),
      );
      let onLog: (chunk: Buffer) => void = () => {};
      const { mac = randomMac() } = bootstrapped.machine;
      const exchange = undo.use(
        await startRestored(
          {
            ...{ settings, mac, log, signal, machine: bootstrapped.machine, phases: undefined },
            ...{ startMachine: context.startMachine, tftpPort: context.tftpPort },
            extraDisks: await clonesToCome(settings),
            ...{ readable: directories.get, writable: directories.put },
            onLog: (chunk) => onLog(chunk),
          },
          { directory: disks, state: found.state },
          snapshot.path,
        ),
      );
      const listen = (to: typeof onLog) => void (onLog = to);
      const kept: Kept = {
        ...{ exchange, snapshot, listen, subject, state: found.state, hasEnded: false, network },
        directories: [directories.get, directories.put],
      };
      void exchange.machine!.ended.then(() => (kept.hasEnded = true));
      exchange.machine!.warm!.rest();
      undo.move();
      this.#kept = kept;
      log.step("a copy is kept ahead of the next task");
    } catch (error) {
      signal.throwIfAborted();
      this.#last = undefined;
      log.warn({ reason: reasonOf(error) }, "machine not restored ahead of its next task");
    }
  }

  async take(
    { settings }: AheadContext,
    paths: MachinePaths,
    state: WarmState,
  ): Promise<AheadMachine | undefined> {
    this.#last = paths.bootstrapped;
    const kept = this.#kept;
    const isSame = kept?.subject.paths.bootstrapped === paths.bootstrapped && isEqual(kept.state, state);
    const isInPlace = kept?.network === networkState(settings.network);
    if (!kept || !isSame || !isInPlace || kept.hasEnded || aheadObstacle(settings)) {
      await this.discard();
      return undefined;
    }
    this.#kept = undefined;
    return kept;
  }

  async look({ settings, log }: AheadContext): Promise<void> {
    if (!this.#kept) return;
    const { subject, state, hasEnded, network } = this.#kept;
    const found = usableState(settings, subject);
    const isInPlace = network === networkState(settings.network);
    const isSame = isInPlace && "state" in found && isEqual(found.state, state);
    const { needed, available } = memoryFor(settings, subject);
    const isScarce = available < needed.toStay;
    if (isSame && !hasEnded && !isScarce && !aheadObstacle(settings)) return;
    if (hasEnded) this.#last = undefined;
    log.step({ machine: subject.paths.name, isScarce, hasEnded }, "machine is not kept ahead any more");
    await this[Symbol.asyncDispose]();
  }

  async discard(): Promise<void> {
    const kept = this.#kept;
    this.#kept = undefined;
    await kept?.exchange[Symbol.asyncDispose]();
    await kept?.snapshot[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const directories = this.#kept?.directories ?? [];
    await this.discard();
    await removeDirectories(...directories);
  }
}

/** States are read from the same kind of file, to the times of their files. */
function isEqual(one: WarmState, other: WarmState): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** In bytes. Between the two a machine that is kept stays, so that it does not come and go. */
function memoryFor(
  { ramKiB, instance, instanceMax }: AheadContext["settings"],
  { bootstrapped: { machine } }: WarmSubject,
): { needed: { toKeep: number; toStay: number }; available: number } {
  const all = ramFor(ramKiB, machine) * 1024 * Math.max(1, instance, instanceMax);
  return { needed: { toKeep: 4 * all, toStay: 2 * all }, available: availableMemoryKiB() * 1024 };
}
