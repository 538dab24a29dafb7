/**
 * `croft doctor --try-warm`: a machine is saved, and copies of it are restored, as an agent would do it. Under KVM nothing is
 * saved on a host before that has passed (machines/warm/kvm-trial.ts).
 */
import { Failure, reasonOf } from "../../os/failure.ts";
import { freshDirectories, removeDirectories } from "../../os/files/directories.ts";
import { silentLog } from "../../os/log.ts";
import { formatDuration } from "../../os/text/duration.ts";
import { lockOthers } from "../../machines/copies.ts";
import { listMachines } from "../../machines/layout.ts";
import { MachineLock, tryMachineLock, type MachineHold } from "../../machines/locks.ts";
import { readBootstrappedManifest } from "../../machines/manifest-files.ts";
import { openStorage } from "../../machines/open-storage.ts";
import { startVirtualMachine } from "../../machines/qemu/start.ts";
import { temporarySnapshot } from "../../machines/temporary-snapshot.ts";
import { takeToolchainLock } from "../../machines/toolchain-lock.ts";
import { forgetKvmTrial, noteKvmTrial } from "../../machines/warm/kvm-trial.ts";
import { noteRandomness } from "../../machines/warm/seen-randomness.ts";
import { findState, removeState, warmDirectory, type WarmState } from "../../machines/warm/state.ts";
import { copiesOf, lockInstance } from "../task-state/instance-lock.ts";
import { goOn, randomMac, startRestored } from "../performing/boot.ts";
import type { AheadContext } from "../performing/kept-machine.ts";
import { saveMachine } from "../performing/save-machine.ts";
import { directoriesOf } from "../settings/directories.ts";
import type { Settings } from "../settings/settings.ts";
import { hypervisorOf, savingObstacle, type WarmSubject } from "../settings/warm.ts";
import { ok, problem, type Check, type Finding } from "./check.ts";

const subject = "saved machines";
const copies = 5;
/** For each copy; it takes a tenth of a second. */
const copySeconds = 60;

/** Longer than a machine may take to boot. */
export const warmTrial: Check = { name: subject, deadlineSeconds: 1800, run: tryWarm };

async function tryWarm(settings: Settings, signal: AbortSignal): Promise<Finding[]> {
  const log = silentLog();
  using _instance = await lockInstance(settings, log);
  using found = await freeMachine(settings, signal);
  const { paths } = found.subject;
  const context: AheadContext = {
    ...{ settings, log, startMachine: startVirtualMachine, directories: directoriesOf(settings) },
    storage: await openStorage(settings.machines, settings.storage, log),
  };
  try {
    const seconds = await saveAndRestore(context, found.subject, signal);
    await noteKvmTrial(settings.machines, hypervisorOf(settings, paths));
    const text = `${paths.name} was saved, and ${copies} copies came back, each with random numbers of its own`;
    return [ok(subject, `${text}; the slowest after ${seconds.toFixed(2)} s`)];
  } catch (error) {
    await forgetKvmTrial(settings.machines);
    signal.throwIfAborted();
    await removeState(paths, settings.instance, `it has failed on trial: ${reasonOf(error)}`);
    const fix =
      "Machines are booted for every task, which works as well. Another version of QEMU may be able to.";
    return [problem(subject, `${paths.name}: ${reasonOf(error)}`, fix)];
  }
}

/** A machine that may be saved, locked. */
async function freeMachine(
  settings: Settings,
  signal: AbortSignal,
): Promise<Disposable & { subject: WarmSubject }> {
  const reasons: string[] = [];
  using toolchainLock = await takeToolchainLock(settings.toolchainLock, silentLog(), signal);
  for (const paths of listMachines(settings.machines, settings.toolchain.name)) {
    const bootstrapped = readBootstrappedManifest(paths);
    const obstacle =
      bootstrapped === undefined
        ? "it is not bootstrapped yet"
        : savingObstacle(settings, { paths, bootstrapped });
    if (obstacle !== undefined || bootstrapped === undefined) {
      reasons.push(`${paths.name}: ${obstacle}`);
      continue;
    }
    const lock = tryMachineLock(toolchainLock, paths);
    const whole: MachineHold | undefined =
      lock instanceof MachineLock ? lockOthers(toolchainLock, lock, copiesOf(settings)) : undefined;
    if (whole !== undefined) {
      whole.write(toolchainLock);
      const release = () => (whole.truncate(), whole[Symbol.dispose]());
      return { subject: { paths, bootstrapped }, [Symbol.dispose]: release };
    }
    if (lock instanceof MachineLock) lock[Symbol.dispose]();
    reasons.push(`${paths.name}: it is in use`);
  }
  throw new Failure("try saved machines", `none can be saved (${reasons.join("; ") || "there is none"})`);
}

/** @returns how long the slowest copy took to answer, in seconds. */
async function saveAndRestore(
  context: AheadContext,
  { paths, bootstrapped }: WarmSubject,
  signal: AbortSignal,
): Promise<number> {
  const { directories } = context;
  const isSaved = await saveMachine(context, { paths, bootstrapped }, signal, undefined);
  const found = findState(paths);
  if (!isSaved || !("state" in found))
    throw new Failure("save it", "reason" in found ? found.reason : "there is no state");
  await freshDirectories(directories.get, directories.put);
  try {
    let slowest = 0;
    for (let copy = 0; copy < copies; copy++)
      slowest = Math.max(slowest, await restoreCopy(context, { paths, bootstrapped }, found.state, signal));
    return slowest;
  } finally {
    await removeDirectories(directories.get, directories.put);
  }
}

/** Restores one copy, which shows that it goes on: it draws random numbers, and asks for its task. */
async function restoreCopy(
  { settings, storage, startMachine, directories, log }: AheadContext,
  { paths, bootstrapped: { machine } }: WarmSubject,
  state: WarmState,
  signal: AbortSignal,
): Promise<number> {
  const disks = warmDirectory(paths);
  const began = performance.now();
  await using snapshot = await temporarySnapshot(storage, {
    ...{ from: paths.bootstrapped, paths, instance: settings.instance, mode: "overlay", disks, log, signal },
  });
  const { mac = randomMac() } = machine;
  await using exchange = await startRestored(
    {
      ...{ settings, startMachine, machine, mac, phases: undefined, tftpPort: undefined, log, signal },
      ...{ readable: directories.get, writable: directories.put },
    },
    { directory: disks, state },
    snapshot.path,
  );
  const drawn = await goOn({ settings, mac, signal }, exchange, () => copySeconds);
  if (!(await noteRandomness(disks, drawn)))
    throw new Failure("restore it", "a copy has drawn the random numbers of another one");
  const first = await exchange.waitForFirstRequest(copySeconds, signal);
  if (first.kind !== "done")
    throw new Failure("restore it", `a copy asks for no task within ${formatDuration(copySeconds)}`);
  return (performance.now() - began) / 1000;
}
