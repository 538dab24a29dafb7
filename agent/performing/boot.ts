/** Boots a machine, or restores it, and waits for its first sign of life, trying again after a mis-boot. */
import { randomInt } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { Failure, reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { openHostNetwork } from "../../machines/network/host-network.ts";
import { machineUser } from "../../machines/qemu/user.ts";
import { makeRuntimeDirectory } from "../../machines/runtime-directory.ts";
import type {
  ExtraDisk,
  GroupPort,
  MachineEnd,
  Memory,
  PublicScreen,
  VirtualMachine,
} from "../../machines/virtual-machine.ts";
import { forgetFailures } from "../../machines/warm/failures.ts";
import { OwnMemory } from "../../machines/warm/own-memory.ts";
import { noteRandomness } from "../../machines/warm/seen-randomness.ts";
import { deviceName, ramName, type WarmState } from "../../machines/warm/state.ts";
import type { Machine } from "../../manifests/machine.ts";
import type { AheadMachine } from "./kept-machine.ts";
import type { PerformingContext } from "./context.ts";
import { ControlLost, Late, startWorker } from "./handing/control-port.ts";
import { keepEvidence } from "./evidence.ts";
import { Exchange, NotConnected } from "./exchange.ts";
import { assertRoom } from "./room.ts";
import { secretsFile } from "./handing/secrets.ts";
import type { TftpPort } from "../tftp/port.ts";
import { addressesWhere } from "../tftp/requesters.ts";
import { MachineChanged } from "./task-snapshot.ts";
import { ramFor } from "../settings/warm.ts";
import type { Settings } from "../settings/settings.ts";

export interface BootOptions {
  settings: Settings;
  startMachine: PerformingContext["startMachine"];
  phases: PerformingContext["phases"] | undefined;
  tftpPort: TftpPort | undefined;
  machine: Machine;
  mac: string;
  /** Where the machine's disks are; called for each try, so that a task gets a fresh snapshot each time. */
  snapshot: () => Promise<string>;
  readable: string;
  writable: string;
  startupTimeoutSeconds: number;
  retries: number;
  evidence: string;
  /** Where it is restored from, if that is possible; else it is booted. */
  saved?: SavedMachine;
  /** Disks beside its own. */
  extraDisks?: readonly ExtraDisk[];
  /** Its place in the network of a group. */
  group?: GroupPort;
  /** Holds the saved memory for its hypervisor, if another machine is restored at the same time. */
  ownMemory?: OwnMemory;
  publicScreen?: PublicScreen;
  /** For the machine alone: see secrets.ts. */
  secrets?: Uint8Array;
  onLog?: (chunk: Buffer) => void;
  log: Log;
  signal: AbortSignal;
}

/** A saved state of the machine. */
export interface SavedMachine {
  /** Its directory. */
  directory: string;
  state: Pick<WarmState, "options" | "version" | "bootSeconds">;
  /** Where the machine's disks of that instant are. */
  snapshot: () => Promise<string>;
  /** The machine itself, if it was restored ahead of the task. */
  ahead?: AheadMachine | undefined;
  /** Told why the machine is booted all the same: for now, or as the state is not to be used again. */
  failed: (reason: string, mayPass: boolean) => Promise<void>;
}

/** A machine that has shown a sign of life; or why there is none: a machine that stayed silent still runs. */
export type Booted =
  | { exchange: Exchange }
  | { failed: "ended"; end: MachineEnd }
  | { failed: "misboot"; reason: string; exchange: Exchange };

/**
 * Boots a machine.
 *
 * A machine that ends before its first request has failed for good; one that stays silent is a mis-boot, and is
 * tried again.
 *
 * @throws {Failure} for a fault of the farm itself: no snapshot, no port, QEMU does not start.
 */
export async function boot(options: BootOptions): Promise<Booted> {
  const { log, startupTimeoutSeconds, retries, signal } = options;
  const restored = options.saved && (await restore(options, options.saved));
  if (restored) return { exchange: restored };
  const reason = `no sign of life within ${startupTimeoutSeconds} s`;
  for (let attempt = 0; ; attempt++) {
    await using stack = new AsyncDisposableStack();
    const exchange = stack.use(await start(options, await options.snapshot()));
    using booting = options.phases?.time("boot");
    const first = await exchange.waitForFirstRequest(startupTimeoutSeconds, signal);
    booting?.[Symbol.dispose]();
    if (first.kind === "done") {
      stack.move();
      return { exchange };
    }
    if (first.kind === "timeout" && attempt >= retries) {
      stack.move();
      return { failed: "misboot", reason: `${reason}, no retry left`, exchange };
    }
    const files = exchange.machine ? [exchange.machine.consoleFile] : [];
    const evidence = await keepEvidence(options.evidence, options.machine.name, files, log);
    if (first.kind === "ended") {
      log.error(
        { machine: options.machine.name, end: first.end.detail, evidence },
        "machine ended before its first sign of life",
      );
      assertRoom(options.machine.name, first.end);
      return { failed: "ended", end: first.end };
    }
    log.warn(
      { machine: options.machine.name, evidence, attempt: attempt + 1, retries },
      `mis-boot: ${reason}, trying again`,
    );
  }
}

/** A copy that is no other than its sibling: nothing that may pass. */
class Twin extends Failure {}

/** One that has closed its ports is told to have ended in no time. */
const endedWithinSeconds = 10;

/** A restored machine is waited for so long at least, however fast it has booted once. */
const restoreLeastSeconds = 20;

/**
 * Restores a machine where it waits for its task, and has it begin.
 *
 * @returns undefined if that failed, which has been told: whatever the reason, the task does not suffer from it.
 * @throws {@link MachineChanged}; the signal's reason if aborted.
 */
async function restore(options: BootOptions, saved: SavedMachine): Promise<Exchange | undefined> {
  const { signal, log, phases } = options;
  const { ahead } = saved;
  const deadline = performance.now() + Math.max(saved.state.bootSeconds, restoreLeastSeconds) * 1000;
  const secondsLeft = () => Math.max(0, deadline - performance.now()) / 1000;
  let machine: VirtualMachine | undefined;
  await using stack = new AsyncDisposableStack();
  try {
    if (ahead) ahead.listen(options.onLog ?? (() => {}));
    const exchange = stack.use(
      ahead ? ahead.exchange : await startRestored(options, saved, await saved.snapshot()),
    );
    machine = exchange.machine;
    using restoring = phases?.time("restore");
    const drawn = await goOn(options, exchange, secondsLeft);
    if (!(await noteRandomness(saved.directory, drawn)))
      throw new Twin("restore a machine", "its random numbers are those of an earlier task");
    restoring?.[Symbol.dispose]();
    using _beginning = phases?.time("worker");
    const first = await exchange.waitForFirstRequest(secondsLeft(), signal);
    if (first.kind === "ended") throw new ControlLost("restore a machine", "it has ended");
    if (first.kind !== "done") throw new Late("restore a machine", "it does not ask for its task in time");
    await forgetFailures(saved.directory).catch(() => {}); // it would be given up too early: no harm
    stack.move();
    log.step({ ahead: ahead !== undefined }, "machine restored");
    return exchange;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof MachineChanged) throw error;
    const patienceSeconds = error instanceof ControlLost ? endedWithinSeconds : 1;
    const end = error instanceof Late ? undefined : await machine?.wait(patienceSeconds, signal);
    const isHosts = error instanceof Late || error instanceof ControlLost || end !== undefined;
    await stack.disposeAsync();
    if (error instanceof NotConnected)
      log.warn({ reason: error.message }, "machine not restored: it is booted");
    else
      await saved.failed(
        end ? `${reasonOf(error)}: ${end.detail}` : reasonOf(error),
        isHosts && !(error instanceof Twin),
      );
    return undefined;
  }
}

/**
 * Has a restored machine go on, and its worker begin.
 *
 * @returns what that has drawn from its random numbers.
 * @throws {Failure} if it does not; the signal's reason if aborted.
 */
export async function goOn(
  options: Pick<BootOptions, "settings" | "mac" | "extraDisks" | "group" | "secrets" | "signal">,
  exchange: Exchange,
  secondsLeft: () => number,
): Promise<Buffer> {
  const { mac, extraDisks = [], group, secrets, signal } = options;
  const { control, plug, proceed } = exchange.machine!.warm!;
  if (extraDisks.length > 0 || group) await plug();
  await exchange.join(mac, signal);
  await proceed();
  const told = { ...addressesOf(options, exchange), disks: extraDisks.length, secrets, group };
  return await startWorker(control, told, secondsLeft(), signal);
}

/** Where a restored machine finds its agent, and whose it is on the bridge. */
function addressesOf(
  { settings: { network }, mac }: Pick<BootOptions, "settings" | "mac">,
  { tftp }: Exchange,
) {
  if (network.kind === "user") return { tftp: `10.0.2.2:${tftp.port}` };
  return { tftp: `${tftp.address}:${tftp.port}`, mac };
}

/** What it takes to start a machine. */
type StartParts = Omit<BootOptions, "snapshot" | "startupTimeoutSeconds" | "retries" | "evidence" | "saved">;

/** One, as one task at a time is performed; its auxiliary machines have their own. */
const oneMemory = new OwnMemory();

/** Starts a machine as it was saved; it stands still. */
export async function startRestored(
  options: StartParts,
  { directory, state }: Pick<SavedMachine, "directory" | "state">,
  snapshot: string,
): Promise<Exchange> {
  const [saved, device] = [join(directory, ramName), join(directory, deviceName)];
  const { options: visible, version } = state;
  const { instance, machineUid, accel } = options.settings;
  const { ownMemory = oneMemory } = options;
  const isOthers = machineUser(machineUid, accel, options.log) !== undefined;
  const ram = isOthers ? await ownMemory.of(saved, `${dirname(directory)}-${instance}-`) : saved;
  return start(options, snapshot, { mode: "restore", ram, device, options: visible, version });
}

async function start(options: StartParts, snapshot: string, memory?: Memory): Promise<Exchange> {
  const { settings, machine, log, signal } = options;
  await makeRuntimeDirectory(settings.runtime);
  const user = machineUser(settings.machineUid, settings.accel, log);
  const host = await openHostNetwork({
    ...{ choice: settings.network, offset: settings.offset, mac: options.mac, log, signal },
    ...withoutUndefined({ user: user?.id }),
  });
  let answeredMs: number | undefined;
  const exchange = await Exchange.start({
    readable: options.readable,
    writable: options.writable,
    address: host.address,
    port: settings.tftpPort,
    held: options.tftpPort,
    uploadMaxBytes: settings.uploadMaxBytes,
    requesters: host.isGuest ? addressesWhere(host.isGuest) : "own-process",
    log,
    connect: (tftpPort) => (memory ? host.connectApart(tftpPort) : host.connect(tftpPort)),
    start: (network) =>
      options.startMachine({
        ...startOptions(settings, machine),
        // A copy has the address that was saved until its worker gives it its own.
        ...{ mac: (memory && machine.mac) ?? options.mac, directory: snapshot, network },
        ...{ places: settings.caches.length, extraDisks: options.extraDisks ?? [] },
        ...withoutUndefined({ user, memory, group: options.group }),
        ...withoutUndefined({ publicScreen: options.publicScreen, onLog: options.onLog }),
        onAnswer: (milliseconds) => {
          options.phases?.add("qemu", milliseconds);
          answeredMs = performance.now();
        },
        log,
        signal,
      }),
  });
  // A restored one has them by its control port.
  if (options.secrets && !memory) exchange.tftp.offerOnce(secretsFile, options.secrets);
  if (memory && answeredMs !== undefined) options.phases?.add("restore", performance.now() - answeredMs);
  return exchange;
}

/** What of a machine follows from the settings. */
export function startOptions(settings: Settings, machine: Machine) {
  const { runtime: runtimeDirectory, cpus, accel, qemu } = settings;
  return {
    ...{ name: `${machine.name}-${basename(runtimeDirectory)}`, machine },
    ...{ runtimeDirectory, cpus, ramKiB: ramFor(settings.ramKiB, machine), accel },
    ...withoutUndefined({ qemu }),
  };
}

/** A locally administered unicast MAC address (IEEE 802: second bit of the first octet set, first clear). */
export function randomMac(): string {
  const octets = Array.from({ length: 6 }, () => randomInt(256));
  octets[0] = (octets[0]! & 0xfc) | 0x02;
  return octets.map((octet) => octet.toString(16).padStart(2, "0")).join(":");
}
