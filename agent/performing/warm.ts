/** Which machines are saved where they wait for a task, and what their saved states must belong to. */
import { chooseAccelerator } from "../../machines/qemu/acceleration.ts";
import { architectureOf, qemuFor } from "../../machines/qemu/architecture.ts";
import { programIdentity } from "../../machines/qemu/program.ts";
import type { MachinePaths } from "../../machines/layout.ts";
import { findState, isRefused, type Belonging, type Found } from "../../machines/warm/state.ts";
import type { BootstrappedMachine } from "../../manifests/bootstrapped-machine.ts";
import type { Log } from "../../os/log.ts";
import type { Settings } from "../settings/settings.ts";

/** A bootstrapped machine. */
export interface WarmSubject {
  paths: MachinePaths;
  bootstrapped: BootstrappedMachine;
}

/** Why a machine is never saved here; undefined if it may be. */
export function warmObstacle(settings: Settings, { paths, bootstrapped }: WarmSubject, log: Log): string | undefined {
  const { machine, bootstrap } = bootstrapped;
  if (!settings.warm) return "--no-warm";
  if (isRefused(paths)) return "there is a file 'no-warm'";
  if (settings.network.kind !== "user") return "machines on a bridge are not saved";
  if (bootstrap.versions["croft"] === undefined) return "its worker is not croft's";
  if ((machine.options ?? []).length > 0) return "it has options of its own";
  // A saved state may not be restored on another processor, nor by a nested KVM; nobody has tried it.
  if (chooseAccelerator(settings.accel, architectureOf(paths.bootstrapped), log) === "kvm")
    return "machines under KVM are not saved";
  return undefined;
}

/** What a machine's saved state belongs to, were it made now. */
export function belongingOf(settings: Settings, { paths, bootstrapped }: WarmSubject): Belonging {
  const program = settings.qemu ?? qemuFor(architectureOf(paths.bootstrapped));
  return {
    machineId: bootstrapped.machine.id,
    toolchainId: bootstrapped.toolchain.id,
    worker: bootstrapped.bootstrap.versions["croft"] ?? "",
    hypervisor: programIdentity(program) ?? program,
  };
}

/** The saved state that a task may begin from; or why it boots. */
export function usableState(settings: Settings, subject: WarmSubject, log: Log): Found {
  const obstacle = warmObstacle(settings, subject, log);
  if (obstacle !== undefined) return { reason: obstacle, isLost: false };
  return findState(subject.paths, belongingOf(settings, subject));
}
