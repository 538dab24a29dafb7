import type { MachineHold, MachineLock } from "../../machines/locks.ts";
import type { ToolchainLock } from "../../machines/toolchain-lock.ts";

/** The locks of all machines of a task, as if it had one: that of the build machine, and those of its auxiliary machines. */
export class GroupLock implements MachineHold {
  readonly #own: MachineLock;
  readonly #others: readonly MachineLock[];

  constructor(own: MachineLock, others: readonly MachineLock[]) {
    this.#own = own;
    this.#others = others;
  }

  get paths(): MachineLock["paths"] {
    return this.#own.paths;
  }

  write(toolchainLock: ToolchainLock, priority?: number): void {
    for (const lock of [...this.#others, this.#own]) lock.write(toolchainLock, priority);
  }

  truncate(): void {
    for (const lock of [...this.#others, this.#own]) lock.truncate();
  }

  [Symbol.dispose](): void {
    // Whoever interrupts the task waits for the build machine's.
    for (const lock of [...this.#others, this.#own]) lock[Symbol.dispose]();
  }
}
