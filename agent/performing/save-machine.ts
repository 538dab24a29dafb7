/** Saves a bootstrapped machine where it waits for a task, so that tasks begin there, and finds what was saved. */
import { copyFile, mkdir, readdir, rm, writeFile, constants, chmod } from "node:fs/promises";
import { join } from "node:path";
import { Failure, reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { MachinePaths } from "../../machines/layout.ts";
import { isDisk, newStateName } from "../../machines/names.ts";
import { openHostNetwork } from "../../machines/network/host-network.ts";
import { machineUser } from "../../machines/qemu/user.ts";
import { makeRuntimeDirectory } from "../../machines/runtime-directory.ts";
import { temporarySnapshot } from "../../machines/temporary-snapshot.ts";
import type { StartOptions, WarmMachine } from "../../machines/virtual-machine.ts";
import { noteFailure } from "../../machines/warm/failures.ts";
import {
  deviceName,
  publishState,
  ramName,
  refuseState,
  removeState,
  stateIdentity,
  warmDirectory,
  type WarmState,
} from "../../machines/warm/state.ts";
import { randomMac, startOptions, type SavedMachine } from "./boot.ts";
import type { AheadContext } from "./kept-machine.ts";
import { Refused, untilReady } from "./handing/control-port.ts";
import type { Settings } from "../settings/settings.ts";
import { belongingOf, usableState, warmObstacle, type WarmSubject } from "../settings/warm.ts";

type SavingContext = Pick<AheadContext, "settings" | "storage" | "startMachine" | "log">;

/**
 * Boots a machine up to where it waits for a task, and keeps that state; the caller holds the machine's lock.
 *
 * A failure is told, and noted beside the machine: it boots then, as it does without a state.
 *
 * @param obstacle why it is not saved, but booted for every task.
 * @returns false after a failure.
 * @throws the signal's reason if aborted.
 */
export async function saveMachine(
  context: SavingContext,
  subject: WarmSubject,
  signal: AbortSignal,
  obstacle = warmObstacle(context.settings, subject),
): Promise<boolean> {
  const { paths } = subject;
  const { instance } = context.settings;
  const log = context.log.child({ machine: paths.name });
  if (obstacle !== undefined) {
    log.step({ reason: obstacle }, "machine is not saved: it is booted for every task");
    return true;
  }
  const directory = join(paths.bootstrapped, newStateName(instance));
  try {
    await mkdir(directory, { mode: 0o700 });
    const made = await bootAndSave(context, subject, directory, log, signal);
    await publishState(paths, instance, directory, { ...belongingOf(context.settings, subject), ...made });
    log.info({ seconds: Math.round(made.bootSeconds) }, "machine saved: tasks begin where it waits for one");
    return true;
  } catch (error) {
    signal.throwIfAborted();
    const reason = `it could not be saved: ${reasonOf(error)}`;
    log.warn({ reason: reasonOf(error) }, "machine not saved: it is booted for every task");
    await removeState(paths, instance, reason).catch(() => {});
    if (error instanceof Refused) await refuseState(paths, reasonOf(error)).catch(() => {});
    return false;
  } finally {
    await rm(directory, { recursive: true, force: true }).catch(() => {}); // else the next start does
  }
}

async function bootAndSave(
  context: SavingContext,
  { paths, bootstrapped }: WarmSubject,
  directory: string,
  log: Log,
  signal: AbortSignal,
): Promise<Pick<WarmMachine, "options" | "version"> & { bootSeconds: number }> {
  const { settings, storage } = context;
  const { instance, offset, runtime, startupTimeoutSeconds } = settings;
  const ram = join(directory, ramName);
  await using snapshot = await temporarySnapshot(storage, {
    ...{ from: paths.bootstrapped, paths, instance, mode: "overlay", log, signal },
  });
  await makeRuntimeDirectory(runtime);
  const user = machineUser(settings.machineUid, settings.accel, log);
  await writeFile(ram, "", { mode: 0o600 });
  if (user) await chmod(ram, 0o666); // the directory is closed
  const { machine } = bootstrapped;
  const { mac = randomMac() } = machine;
  const host = await openHostNetwork({
    ...{ choice: settings.network, offset, mac, log, signal },
    ...withoutUndefined({ user: user?.id }),
  });
  await using connection = await host.connect(settings.tftpPort);
  const options: StartOptions = {
    ...startOptions(settings, machine),
    ...{ mac, directory: snapshot.path, network: connection.network },
    ...{ memory: { mode: "save", ram }, places: settings.caches.length, log, signal },
    ...withoutUndefined({ user }),
  };
  const began = performance.now();
  await using started = await context.startMachine(options);
  if (!started.warm) throw new Failure("save a machine", "the hypervisor has no control port");
  const { control, options: visible, version } = started.warm;
  await untilReady(control, startupTimeoutSeconds.build, signal);
  const bootSeconds = (performance.now() - began) / 1000;
  await started.warm.save(join(directory, deviceName));
  await chmod(ram, 0o600); // from now on nobody writes it
  for (const name of await readdir(snapshot.path))
    if (isDisk(name))
      await copyFile(join(snapshot.path, name), join(directory, name), constants.COPYFILE_FICLONE);
  return { options: visible, version, bootSeconds };
}

/** A machine whose lock the caller holds, to be started for a task. */
interface Starting {
  machine: WarmSubject;
  log: Log;
}

/**
 * What a machine is restored from; undefined if it is to be booted, which is told.
 *
 * @param snapshot makes one with the disks of the directory.
 */
export function findSaved(
  settings: Settings,
  { machine, log }: Starting,
  snapshot: (disks: string) => SavedMachine["snapshot"],
): (SavedMachine & { state: WarmState }) | undefined {
  const found = usableState(settings, machine);
  if ("reason" in found) {
    if (found.isLost) warnOnce(log, machine.paths, found.reason);
    else log.step({ reason: found.reason }, "machine is booted");
    return undefined;
  }
  const directory = warmDirectory(machine.paths);
  const identity = stateIdentity(machine.paths);
  const failed = async (reason: string, mayPass: boolean) => {
    if (stateIdentity(machine.paths) !== identity) {
      // Of another copy's task, which had a better reason, or has made a new one: neither is to be touched.
      log.step({ reason }, "machine is booted: its state was removed or replaced meanwhile");
      return;
    }
    if (mayPass && !(await noteFailure(directory).catch(() => true))) {
      log.warn({ reason }, "machine not restored: it is booted");
      return;
    }
    log.warn({ reason }, "machine cannot be restored: its state is removed, and it is booted");
    await removeState(machine.paths, settings.instance, `it could not be restored: ${reason}`).catch(
      (error: unknown) =>
        log.error({ directory, reason: reasonOf(error) }, "a machine's state is not removed"),
    );
  };
  return { directory, state: found.state, snapshot: snapshot(directory), failed };
}

/** What has been said, by machine: it holds for every task. */
const warned = new Map<string, string>();

function warnOnce(log: Log, { bootstrapped }: MachinePaths, reason: string): void {
  if (warned.get(bootstrapped) !== reason)
    log.warn({ reason }, "machine is booted for every task: its saved state does not count");
  warned.set(bootstrapped, reason);
}
