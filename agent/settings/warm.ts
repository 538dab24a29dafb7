/** Which machines are saved where they wait for a task, and what their saved states must belong to. */
import { kvmObstacle } from "../../machines/qemu/acceleration.ts";
import { architectureOf, qemuFor } from "../../machines/qemu/architecture.ts";
import { programIdentity } from "../../machines/qemu/program.ts";
import type { MachinePaths } from "../../machines/layout.ts";
import { readBootstrappedManifest } from "../../machines/manifest-files.ts";
import { kvmTrialObstacle, processorOf } from "../../machines/warm/kvm-trial.ts";
import { findState, isDue, refusalOf, type Belonging, type Found } from "../../machines/warm/state.ts";
import type { BootstrappedMachine } from "../../manifests/bootstrapped-machine.ts";
import type { Machine } from "../../manifests/machine.ts";
import { reasonOf } from "../../os/failure.ts";
import type { Settings } from "./settings.ts";

/** A bootstrapped machine. */
export interface WarmSubject {
  paths: MachinePaths;
  bootstrapped: BootstrappedMachine;
}

/** Why a machine is not saved here; undefined if it may be. */
export function warmObstacle(settings: Settings, subject: WarmSubject): string | undefined {
  return savingObstacle(settings, subject) ?? trialObstacle(settings, subject.paths);
}

/** As {@link warmObstacle}, whether saved machines were tried on this host or not. */
export function savingObstacle(settings: Settings, { paths, bootstrapped }: WarmSubject): string | undefined {
  const { machine, bootstrap } = bootstrapped;
  if (!settings.warm) return "--no-warm";
  if (settings.fakeBootstrap || settings.fakeMachine !== undefined) return "it is a fake one";
  const refusal = refusalOf(paths);
  if (refusal !== undefined) return refusal;
  if (bootstrap.versions["croft"] === undefined) return "its worker is not croft's";
  if ((machine.options ?? []).length > 0) return "it has options of its own";
  return undefined;
}

function trialObstacle(settings: Settings, paths: MachinePaths): string | undefined {
  return usesKvm(settings, paths)
    ? kvmTrialObstacle(settings.machines, hypervisorOf(settings, paths))
    : undefined;
}

function usesKvm({ accel }: Settings, { bootstrapped }: MachinePaths): boolean {
  return accel === "kvm" || (accel === "auto" && kvmObstacle(architectureOf(bootstrapped)) === undefined);
}

/** Which program runs a machine, and which content of it. */
export function hypervisorOf({ qemu }: Settings, { bootstrapped }: MachinePaths): string {
  const program = qemu ?? qemuFor(architectureOf(bootstrapped));
  return programIdentity(program) ?? program;
}

/** Why no machine is restored ahead of its task; undefined if one may be. */
export function aheadObstacle({ ahead, warm, fakeMachine }: Settings): string | undefined {
  if (ahead === "off") return "--ahead off";
  return !warm || fakeMachine !== undefined ? "no machine is restored" : undefined;
}

/** What a machine's saved state belongs to, were it made now. */
export function belongingOf(settings: Settings, { paths, bootstrapped }: WarmSubject): Belonging {
  const { network } = settings;
  return {
    machineId: bootstrapped.machine.id,
    toolchainId: bootstrapped.toolchain.id,
    worker: bootstrapped.bootstrap.versions["croft"] ?? "",
    hypervisor: hypervisorOf(settings, paths),
    resources: [
      `${settings.cpus} processors, ${ramFor(settings.ramKiB, bootstrapped.machine)} KiB`,
      ...(network.kind === "bridge" ? [`on bridge ${network.bridge}`] : []),
      ...(settings.caches.length > 0 ? [`${settings.caches.length} caches`] : []),
      ...(usesKvm(settings, paths) ? [`KVM on ${processorOf()}`] : []),
    ].join(", "),
  };
}

/** The memory of a machine in KiB: what the agent gives, within what the machine says it needs. */
export function ramFor(ramKiB: number, machine: Machine): number {
  return Math.min(Math.max(ramKiB, machine.ramMinimumKiB ?? 0), machine.ramMaximumKiB ?? Infinity);
}

/** The saved state that a task may begin from; or why it boots. */
export function usableState(settings: Settings, subject: WarmSubject): Found {
  const obstacle = warmObstacle(settings, subject);
  return obstacle === undefined ? stateNow(settings, subject) : { reason: obstacle, isLost: false };
}

/** The saved state of a machine that may have one. */
function stateNow(settings: Settings, subject: WarmSubject): Found {
  return findState(subject.paths, belongingOf(settings, subject));
}

/** Why a machine is booted for every task, as far as it is bootstrapped; undefined if tasks begin from its saved state. */
export function whyBooted(settings: Settings, paths: MachinePaths): string | undefined {
  let bootstrapped: BootstrappedMachine | undefined;
  try {
    bootstrapped = readBootstrappedManifest(paths);
  } catch (error) {
    return reasonOf(error);
  }
  if (bootstrapped === undefined) return "it is not bootstrapped yet";
  const found = usableState(settings, { paths, bootstrapped });
  return "state" in found ? undefined : found.reason;
}

/** Whether an idle instance is to save a machine. */
export function isToBeSaved(settings: Settings, subject: WarmSubject): boolean {
  if (warmObstacle(settings, subject) !== undefined) return false;
  return !("state" in stateNow(settings, subject)) && isDue(subject.paths);
}
