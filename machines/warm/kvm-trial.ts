/**
 * Whether saved machines were tried with hardware virtualization on this host: a file in the machines directory, which says with
 * what. A restored state asks more of a processor than a boot: what a nested KVM keeps of it, or another processor of the
 * same name, nobody can foresee. So nothing is saved under KVM until `croft doctor --try-warm` has seen copies come back.
 */
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { release } from "node:os";
import { join } from "node:path";
import { writeDurably } from "../../os/files/durable.ts";

/** Hidden, so that it is no volume. */
const trialName = ".warm-trial.json";

/** What a trial says something about: it counts as long as all of it is the same. */
interface Tried {
  host: string;
  kernel: string;
  processor: string;
  /** Which program the hypervisor is, and which content of it. */
  hypervisor: string;
}

/** What tells this host's processor from others: what it is, and what it can. */
export function processorOf(cpuinfo = readText("/proc/cpuinfo")): string {
  const first = cpuinfo.split("\n\n")[0]!;
  const wanted = /^(model name|stepping|microcode|flags|CPU (part|variant|revision)|Features)\s*:\s*(.*)$/gm;
  return [...first.matchAll(wanted)].map(([, name, , value]) => `${name}: ${value}`).join("; ");
}

function triedNow(hypervisor: string): Tried {
  const host = readText("/etc/machine-id").trim();
  return { host, kernel: release(), processor: processorOf(), hypervisor };
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Why machines are not saved under KVM here; undefined if they may be. */
export function kvmTrialObstacle(machines: string, hypervisor: string): string | undefined {
  const advice = "machines under KVM are not saved before 'croft doctor --try-warm' has passed on this host";
  let tried: Partial<Tried>;
  try {
    tried = JSON.parse(readFileSync(join(machines, trialName), "utf8")) as Partial<Tried>;
  } catch {
    return advice;
  }
  const now = triedNow(hypervisor);
  const names: Record<keyof Tried, string> = {
    ...{ host: "the host", kernel: "its kernel" },
    ...{ processor: "its processor", hypervisor: "QEMU" },
  };
  for (const [key, what] of Object.entries(names) as [keyof Tried, string][])
    if (tried[key] !== now[key]) return `${advice} again: ${what} has changed since it did`;
  return undefined;
}

/** Notes that a trial has passed. */
export async function noteKvmTrial(machines: string, hypervisor: string): Promise<void> {
  await writeDurably(join(machines, trialName), `${JSON.stringify(triedNow(hypervisor), null, 1)}\n`);
}

/** Forgets the trials that have passed: a later one has not. */
export async function forgetKvmTrial(machines: string): Promise<void> {
  await rm(join(machines, trialName), { force: true });
}
