import type { BootstrappedMachine } from "../../manifests/bootstrapped-machine.ts";
import type { Machine } from "../../manifests/machine.ts";
import { countHolders } from "../copies.ts";
import type { MachinePaths } from "../layout.ts";
import type { Holder, MachineLock } from "../locks.ts";
import type { PendingBootstrap } from "./pending-bootstrap.ts";

export type { PendingBootstrap };

/** A machine that is bootstrapped and ready: its first copy that was free, locked by this process. */
export interface LockedMachine {
  readonly state: "locked";
  readonly paths: MachinePaths;
  readonly lock: MachineLock;
  readonly manifest: BootstrappedMachine;
}

/** A copy of a machine that another process holds. */
export interface HeldMachine {
  readonly state: "held";
  readonly paths: MachinePaths;
  readonly holder: Holder;
  /** Of the current revision; absent if it cannot be offered: no priority, no link, unusable, or to be bootstrapped. */
  readonly manifest: Machine | undefined;
}

/**
 * The machines of a host for one toolchain, as found under the toolchain lock. Disposing releases all locks that were
 * not taken out of it.
 */
export class Enumeration implements AsyncDisposable {
  readonly #machines: (LockedMachine | HeldMachine)[] = [];
  readonly #locks = new Set<MachineLock>();
  #pending: PendingBootstrap | undefined;

  get machines(): readonly (LockedMachine | HeldMachine)[] {
    return this.#machines;
  }

  /** The machine to be bootstrapped next, if any. */
  get pending(): PendingBootstrap | undefined {
    return this.#pending;
  }

  /** How many other processes hold machines. */
  get heldCount(): number {
    return countHolders(
      this.#machines.flatMap((machine) => (machine.state === "held" ? machine.holder : [])),
    );
  }

  /** Takes over a machine, with its lock. */
  add(machine: LockedMachine | HeldMachine | PendingBootstrap): void {
    if (machine.state === "pending") {
      this.#pending = machine;
      return;
    }
    this.#machines.push(machine);
    if (machine.state === "locked") this.#locks.add(machine.lock);
  }

  /** Hands over the lock of a machine: it outlives the enumeration, and the caller disposes of it. */
  take(machine: LockedMachine): MachineLock {
    if (!this.#locks.delete(machine.lock)) throw new Error("the lock has been taken out already");
    return machine.lock;
  }

  /** Hands over the pending bootstrap: it outlives the enumeration, and the caller disposes of it. */
  takePending(): PendingBootstrap {
    const pending = this.#pending;
    if (!pending) throw new Error("there is no pending bootstrap");
    this.#pending = undefined;
    return pending;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pending = this.#pending;
    this.#pending = undefined;
    for (const lock of this.#locks) lock[Symbol.dispose]();
    this.#locks.clear();
    await pending?.[Symbol.asyncDispose]();
  }
}
