/**
 * Copies of a machine: as many builds at a time as it has copies, each on a snapshot of the one bootstrapped machine `M-T`.
 *
 * Each copy has a lock of its own, with the same content and the same rules (locks.ts). The first one's is `M-T.lock`: other
 * programs that know nothing of copies see, and lock, that one. An instance that looks for work takes the first copy that is
 * free. Whoever changes the machine itself (bootstraps it anew, saves it, removes it) has the locks of all its copies, also of
 * those that only agents with other settings use: each copy in use has a lock file, and while the toolchain lock is held,
 * nobody makes another one. So a machine that is to be bootstrapped is offered by nobody, its builds end one after the other,
 * and who finds all copies free makes it.
 */
import { createHash } from "node:crypto";
import { entriesIn } from "../os/files/directories.ts";
import { copyPaths, type MachinePaths } from "./layout.ts";
import { MachineLock, tryMachineLock, type Holder, type MachineHold } from "./locks.ts";
import { classifyEntry } from "./names.ts";
import type { ToolchainLock } from "./toolchain-lock.ts";

/** A copy that another process holds. */
export interface HeldCopy {
  readonly paths: MachinePaths;
  readonly holder: Holder;
}

/** Which copies of a machine have a lock file, ascending; locked or not. */
export function copiesWithLocks(paths: MachinePaths): number[] {
  return entriesIn(paths.directory)
    .map(({ name }) => classifyEntry(paths.name, name))
    .flatMap((entry) => (entry?.kind === "lock" && entry.toolchain === paths.toolchain ? [entry.copy] : []))
    .sort((a, b) => a - b);
}

/**
 * Locks the first copy that is free, and looks who holds the others.
 *
 * @param copies how many there may be.
 * @throws {Failure} as {@link tryMachineLock}.
 */
export function tryCopies(
  toolchainLock: ToolchainLock,
  paths: MachinePaths,
  copies: number,
): { free: MachineLock | undefined; held: HeldCopy[] } {
  const known = new Set(copiesWithLocks(paths));
  const held: HeldCopy[] = [];
  using onFailure = new DisposableStack();
  let free: MachineLock | undefined;
  for (let copy = 1; copy <= Math.max(copies, ...known); copy++) {
    const mayTake = free === undefined && copy <= copies;
    if (!mayTake && !known.has(copy)) continue; // nobody holds it
    const own = copyPaths(paths, copy);
    const found = tryMachineLock(toolchainLock, own);
    if (!(found instanceof MachineLock)) held.push({ paths: own, holder: found });
    else if (mayTake) free = onFailure.use(found);
    else found[Symbol.dispose]();
  }
  onFailure.move();
  return { free, held };
}

/** The locks of all copies of a machine. */
export class WholeMachineLock implements MachineHold {
  readonly paths: MachinePaths;
  readonly #locks: readonly MachineLock[];

  /** @param locks from the first copy's on */
  constructor(locks: readonly [MachineLock, ...MachineLock[]]) {
    this.paths = copyPaths(locks[0].paths, 1);
    this.#locks = locks;
  }

  write(toolchainLock: ToolchainLock, priority?: number): void {
    for (const lock of this.#locks) lock.write(toolchainLock, priority);
  }

  truncate(): void {
    for (const lock of this.#locks) lock.truncate();
  }

  [Symbol.dispose](): void {
    // Others take the first one that they find: they are to find all of them.
    for (const lock of this.#locks.toReversed()) lock[Symbol.dispose]();
  }
}

/**
 * Locks the copies of a machine besides the one that is locked already.
 *
 * @returns undefined, and all but that one is as before, if another process holds one of them; else its lock is part of what
 * is returned.
 * @throws {Failure} as {@link tryMachineLock}.
 */
export function lockOthers(
  toolchainLock: ToolchainLock,
  lock: MachineLock,
  copies: number,
): WholeMachineLock | undefined {
  const { paths } = lock;
  const known = copiesWithLocks(paths);
  const numbers = new Set([...Array.from({ length: copies }, (_, index) => index + 1), ...known]);
  numbers.delete(paths.copy);
  using others = new DisposableStack();
  const locks = [lock];
  for (const copy of [...numbers].sort((a, b) => a - b)) {
    const found = tryMachineLock(toolchainLock, copyPaths(paths, copy));
    if (!(found instanceof MachineLock)) return undefined;
    locks.push(others.use(found));
  }
  others.move();
  locks.sort((a, b) => a.paths.copy - b.paths.copy);
  return new WholeMachineLock(locks as [MachineLock, ...MachineLock[]]);
}

/** How many processes hold copies: one may hold several, and who does not say who it is counts as one. */
export function countHolders(holders: readonly Holder[]): number {
  const pids = holders.flatMap(({ pid }) => pid ?? []);
  return new Set(pids).size + holders.length - pids.length;
}

/**
 * The MAC address of a copy, where several of them are in one network: the first one's is the machine's, and those of the others
 * follow from it, so that each gets the same lease again.
 *
 * @param mac six hexadecimal pairs with colons
 */
export function macOfCopy(mac: string, copy: number): string {
  if (copy === 1) return mac;
  const bytes = createHash("sha256").update(`${mac.toLowerCase()} ${copy}`).digest().subarray(0, 6);
  bytes[0] = (bytes[0]! & 0xfc) | 0x02; // of one card, and not of a manufacturer (IEEE 802)
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}
