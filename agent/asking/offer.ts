/** What is offered to which controller. */
import type { Log } from "../../os/log.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { HeldMachine, LockedMachine } from "../../machines/enumeration/enumeration.ts";
import { isAuxiliaryName, type Machine, type MachineHeader } from "../../manifests/machine.ts";
import type { TaskRequest } from "../../manifests/task-request.ts";
import type { Signer } from "../wire/signing.ts";
import { auxiliaryObstacle, auxiliaryRamKiB } from "../settings/auxiliary.ts";
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
  context: OfferContext,
  { url, priority }: ControllerSetting,
  free: readonly LockedMachine[],
  load: Load<HeldTask>,
  mayInterrupt: boolean,
): Offered | undefined {
  const { log } = context;
  const permission = permissionOf(priority, load);
  const skip = (reason: string) => void log.debug({ url, priority, reason }, "controller not asked");
  if (!permission.ask) return skip(permission.reason);
  if (!mayInterrupt && tasksToInterrupt(priority, load, undefined).length > 0)
    return skip("a task would have to give way, and did not lately");
  const interruptible = mayInterrupt ? permission.interruptible : [];
  const machines = withoutCopies([
    ...free.filter(({ manifest }) => !isAuxiliary(manifest.machine)),
    ...interruptible.map(({ machine }) => machine).filter(isOfferable),
  ]);
  return machines.length > 0
    ? [...machines, ...auxiliariesFor(context, free)]
    : skip("there is no machine to offer");
}

/**
 * The auxiliary machines that are free; no task gives way for one. One whose name has no dash is not told: the incumbent's
 * controller would take the whole request for a bad one.
 */
function auxiliariesFor(
  { settings, log }: OfferContext,
  free: readonly LockedMachine[],
): readonly LockedMachine[] {
  const all = free.filter(({ manifest }) => isAuxiliary(manifest.machine));
  const reason = all.length === 0 ? undefined : auxiliaryObstacle(settings);
  if (reason !== undefined) log.debug({ reason }, "no auxiliary machines offered");
  return reason === undefined ? all.filter(({ paths }) => isAuxiliaryName(paths.name)) : [];
}

/** Whether a machine serves the builds of others. */
export function isAuxiliary({ role }: Pick<Machine, "role">): boolean {
  return role === "auxiliary";
}

interface OfferContext {
  settings: Pick<Settings, "fakeMachine" | "offset">;
  log: Log;
}

/** Of the copies of a machine, the first: a free one, else that of the least important task. */
function withoutCopies(machines: Offered): Offered {
  const first = new Map<string, Offered[number]>();
  for (const machine of machines)
    if (!first.has(machine.paths.bootstrapped)) first.set(machine.paths.bootstrapped, machine);
  return [...first.values()];
}

function isOfferable({ manifest }: HeldMachine): boolean {
  return manifest?.type === "kvm" && !isAuxiliary(manifest);
}

/** How an agent tells who it is. */
export interface RequestContext {
  readonly settings: Pick<
    Settings,
    ("toolchain" | "interactive" | "offset") | ("auxiliaryRam" | "ramKiB" | "instance" | "instanceMax")
  >;
  /** Undefined without a key. */
  readonly signer: Signer | undefined;
  /** Name of this build host, as told to controllers. */
  readonly hostName: string;
}

/** The request that offers machines; they have manifests. */
export function taskRequest({ settings, signer, hostName }: RequestContext, machines: Offered): TaskRequest {
  const login = interactiveLogin(settings);
  const hasAuxiliary = machines.some(
    (machine) => machine.state === "locked" && isAuxiliary(machine.manifest.machine),
  );
  return {
    agent: hostName,
    toolchainName: settings.toolchain.name,
    toolchainVersion: settings.toolchain.version,
    ...(login === undefined ? {} : { interactiveMode: settings.interactive, interactiveLogin: login }),
    ...withoutUndefined({ fingerprint: signer?.fingerprint }),
    auxiliaryRamKiB: hasAuxiliary ? auxiliaryRamKiB(settings) : 0, // none at all would mean any
    machines: machines.map(headerOf),
  };
}

function headerOf(machine: LockedMachine | HeldMachine): MachineHeader {
  const manifest = machine.state === "locked" ? machine.manifest.machine : machine.manifest!;
  const { id, name, summary, role, ramMinimumKiB, ramMaximumKiB } = manifest;
  return withoutUndefined({ id, name, summary, role, ramMinimumKiB, ramMaximumKiB });
}
