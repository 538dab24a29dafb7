/** What is offered to which controller. */
import type { Log } from "../../os/log.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { HeldMachine, LockedMachine } from "../../machines/enumeration/enumeration.ts";
import type { MachineHeader } from "../../manifests/machine.ts";
import type { TaskRequest } from "../../manifests/task-request.ts";
import type { Signer } from "../wire/signing.ts";
import { interactiveLogin } from "../settings/interactive-login.ts";
import type { HeldTask } from "./interrupter.ts";
import { permissionOf, tasksToInterrupt, type Load } from "./priority.ts";
import type { ControllerSetting, Settings } from "../settings/settings.ts";

/** Machines that may be offered, each once; the free ones before those that must be taken from a task. */
export type Offered = readonly (LockedMachine | HeldMachine)[];

/**
 * The machines that are offered to a controller: the free ones, and those of the tasks that it may interrupt.
 *
 * @param mayInterrupt false: for now, nothing that means interrupting a task.
 * @returns undefined if it is not asked; why is logged.
 */
export function machinesFor(
  { log }: { log: Log },
  { url, priority }: ControllerSetting,
  free: readonly LockedMachine[],
  load: Load<HeldTask>,
  mayInterrupt: boolean,
): Offered | undefined {
  const permission = permissionOf(priority, load);
  const skip = (reason: string) => void log.debug({ url, priority, reason }, "controller not asked");
  if (!permission.ask) return skip(permission.reason);
  if (!mayInterrupt && tasksToInterrupt(priority, load, undefined).length > 0)
    return skip("a task would have to give way, and did not lately");
  const interruptible = mayInterrupt ? permission.interruptible : [];
  const machines = withoutCopies([
    ...free,
    ...interruptible.map(({ machine }) => machine).filter(isOfferable),
  ]);
  return machines.length > 0 ? machines : skip("there is no machine to offer");
}

/** Of the copies of a machine, the first: a free one, else that of the least important task. */
function withoutCopies(machines: Offered): Offered {
  const first = new Map<string, Offered[number]>();
  for (const machine of machines)
    if (!first.has(machine.paths.bootstrapped)) first.set(machine.paths.bootstrapped, machine);
  return [...first.values()];
}

function isOfferable({ manifest }: HeldMachine): boolean {
  return manifest?.type === "kvm" && manifest.role !== "auxiliary";
}

/** How an agent tells who it is. */
export interface RequestContext {
  readonly settings: Pick<Settings, "toolchain" | "interactive" | "offset">;
  /** Undefined without a key. */
  readonly signer: Signer | undefined;
  /** Name of this build host, as told to controllers. */
  readonly hostName: string;
}

/** The request that offers machines; they have manifests. */
export function taskRequest({ settings, signer, hostName }: RequestContext, machines: Offered): TaskRequest {
  const login = interactiveLogin(settings);
  return {
    agent: hostName,
    toolchainName: settings.toolchain.name,
    toolchainVersion: settings.toolchain.version,
    ...(login === undefined ? {} : { interactiveMode: settings.interactive, interactiveLogin: login }),
    ...withoutUndefined({ fingerprint: signer?.fingerprint }),
    auxiliaryRamKiB: 0, // there are no auxiliary machines yet
    machines: machines.map(headerOf),
  };
}

function headerOf(machine: LockedMachine | HeldMachine): MachineHeader {
  const manifest = machine.state === "locked" ? machine.manifest.machine : machine.manifest!;
  const { id, name, summary, role, ramMinimumKiB, ramMaximumKiB } = manifest;
  return withoutUndefined({ id, name, summary, role, ramMinimumKiB, ramMaximumKiB });
}
