/** Takes the auxiliary machines of a task out of those that were found, each with its lock. */
import { copyPaths } from "../../machines/layout.ts";
import { tryCopies } from "../../machines/copies.ts";
import type { Enumeration, LockedMachine } from "../../machines/enumeration/enumeration.ts";
import type { MachineLock } from "../../machines/locks.ts";
import type { ToolchainLock } from "../../machines/toolchain-lock.ts";
import type { Task } from "../../manifests/task.ts";
import { shareRam } from "../settings/auxiliary.ts";
import { isAuxiliary } from "./offer.ts";

/** An auxiliary machine that is locked for the task. */
export interface TakenMachine {
  name: string;
  paths: LockedMachine["paths"];
  bootstrapped: LockedMachine["manifest"];
  ramKiB: number;
  lock: MachineLock;
}

export interface TakingOptions {
  toolchainLock: ToolchainLock;
  enumeration: Enumeration;
  /** How many builds at a time a machine may serve. */
  copies: number;
  /** For all of them. */
  auxiliaryRamKiB: number;
  /** What a machine gets that does not say otherwise. */
  ramKiB: number;
}

/** Auxiliary machines of a task among free ones, by what the task calls them, in the order of their machines' names. */
export function auxiliariesOf(
  task: Task,
  free: readonly LockedMachine[],
): { name: string; machine: LockedMachine }[] {
  return Object.entries(task.auxiliaryMachines)
    .flatMap(([name, wanted]) => {
      const machine = free.find(
        ({ paths, manifest }) => paths.name === wanted && isAuxiliary(manifest.machine),
      );
      return machine ? [{ name, machine }] : [];
    })
    .sort((a, b) => compare(a.machine.paths.name, b.machine.paths.name) || compare(a.name, b.name));
}

const compare = (one: string, other: string) => (one < other ? -1 : Number(one > other));

/**
 * Takes them; of a machine that is asked for several times, further copies.
 *
 * @returns why that is not possible: then nothing is taken, and another host, or the next round, may do better.
 */
export function takeAuxiliaries(
  task: Task,
  { toolchainLock, enumeration, copies, auxiliaryRamKiB, ramKiB }: TakingOptions,
): TakenMachine[] | { reason: string } {
  const free = enumeration.machines.filter((machine) => machine.state === "locked");
  const wanted = auxiliariesOf(task, free);
  if (wanted.length < Object.keys(task.auxiliaryMachines).length)
    return { reason: "not all of its auxiliary machines are free" };
  const needs = wanted.map(({ machine }) => machine.manifest.machine);
  const shares = shareRam(auxiliaryRamKiB, ramKiB, needs);
  if (!shares) return { reason: `its auxiliary machines need more memory than ${auxiliaryRamKiB} KiB` };
  using onFailure = new DisposableStack();
  const used = new Set<LockedMachine>();
  const taken: TakenMachine[] = [];
  for (const [index, { name, machine }] of wanted.entries()) {
    const lock = used.has(machine)
      ? tryCopies(toolchainLock, copyPaths(machine.paths, 1), copies).free
      : enumeration.take(machine);
    used.add(machine);
    if (!lock) return { reason: `no further copy of auxiliary machine '${machine.paths.name}' is free` };
    onFailure.use(lock);
    const { paths } = lock;
    taken.push({ name, paths, bootstrapped: machine.manifest, ramKiB: shares[index]!, lock });
  }
  onFailure.move();
  return taken;
}
