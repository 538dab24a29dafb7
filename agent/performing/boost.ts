/** Processors and memory of a task's machine. */
import { availableParallelism, totalmem } from "node:os";
import { levelsOf } from "../asking/priority.ts";

export interface Resources {
  cpus: number;
  ramKiB: number;
}

/** What is left to the host itself: its own programs, and what QEMU needs besides the guest's memory. */
const hostRamKiB = 1024 * 1024;

/** What a host can give to one machine. */
function hostResources(): Resources {
  const totalKiB = Math.floor(totalmem() / 1024);
  return { cpus: availableParallelism(), ramKiB: totalKiB - Math.min(hostRamKiB, Math.floor(totalKiB / 4)) };
}

/** Whether a task of a priority gets more than others. */
export function isBoosted(priority: number): boolean {
  const { boost, d } = levelsOf(priority);
  return boost && d > 0;
}

/**
 * What a machine gets for a task of a priority: the settings' own, or if it is boosted (F, with a D that has made the
 * others give way) that of all instances together, as far as the host has it; never less than the settings' own.
 */
export function resourcesFor(
  priority: number,
  { cpus, ramKiB, instanceMax }: Resources & { instanceMax: number },
  host: Resources = hostResources(),
): Resources {
  if (!isBoosted(priority)) return { cpus, ramKiB };
  return {
    cpus: Math.max(cpus, Math.min(instanceMax * cpus, host.cpus)),
    ramKiB: Math.max(ramKiB, Math.min(instanceMax * ramKiB, host.ramKiB)),
  };
}
