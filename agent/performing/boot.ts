/** Boots a machine and waits for its first sign of life, trying again after a mis-boot. */
import { randomInt } from "node:crypto";
import type { Log } from "../../os/log.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { openHostNetwork } from "../../machines/network/host-network.ts";
import { machineUser } from "../../machines/qemu/user.ts";
import { makeRuntimeDirectory } from "../../machines/runtime-directory.ts";
import type { MachineEnd, PublicScreen } from "../../machines/virtual-machine.ts";
import type { Machine } from "../../manifests/machine.ts";
import type { PerformingContext } from "./context.ts";
import { keepEvidence } from "./evidence.ts";
import { Exchange } from "./exchange.ts";
import { assertRoom } from "./room.ts";
import type { TftpPort } from "../tftp/port.ts";
import { addressesWhere } from "../tftp/requesters.ts";
import type { Settings } from "../settings/settings.ts";

export interface BootOptions {
  settings: Settings;
  startMachine: PerformingContext["startMachine"];
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
  publicScreen?: PublicScreen;
  onLog?: (chunk: Buffer) => void;
  log: Log;
  signal: AbortSignal;
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
  const reason = `no sign of life within ${startupTimeoutSeconds} s`;
  for (let attempt = 0; ; attempt++) {
    await using stack = new AsyncDisposableStack();
    const exchange = stack.use(await start(options));
    const first = await exchange.waitForFirstRequest(startupTimeoutSeconds, signal);
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

async function start(options: BootOptions): Promise<Exchange> {
  const { settings, machine, log, signal } = options;
  const snapshot = await options.snapshot();
  await makeRuntimeDirectory(settings.runtime);
  const user = machineUser(settings.machineUid, settings.accel, log);
  const host = await openHostNetwork({
    ...{ choice: settings.network, offset: settings.offset, mac: options.mac, log, signal },
    ...withoutUndefined({ user: user?.id }),
  });
  return Exchange.start({
    readable: options.readable,
    writable: options.writable,
    address: host.address,
    port: settings.tftpPort,
    held: options.tftpPort,
    uploadMaxBytes: settings.uploadMaxBytes,
    requesters: host.isGuest ? addressesWhere(host.isGuest) : "own-process",
    log,
    connect: (tftpPort) => host.connect(tftpPort),
    start: (network) =>
      options.startMachine({
        name: `${machine.name}-${settings.toolchain.name}-${settings.instance}`,
        machine,
        mac: options.mac,
        directory: snapshot,
        runtimeDirectory: settings.runtime,
        network,
        cpus: settings.cpus,
        ramKiB: clampRam(settings.ramKiB, machine),
        accel: settings.accel,
        ...withoutUndefined({
          user,
          qemu: settings.qemu,
          publicScreen: options.publicScreen,
          onLog: options.onLog,
        }),
        log,
        signal,
      }),
  });
}

/** The memory of a machine in KiB: what the agent gives, within what the machine says it needs. */
function clampRam(ramKiB: number, machine: Machine): number {
  return Math.min(Math.max(ramKiB, machine.ramMinimumKiB ?? 0), machine.ramMaximumKiB ?? Infinity);
}

/** A locally administered unicast MAC address (IEEE 802: second bit of the first octet set, first clear). */
export function randomMac(): string {
  const octets = Array.from({ length: 6 }, () => randomInt(256));
  octets[0] = (octets[0]! & 0xfc) | 0x02;
  return octets.map((octet) => octet.toString(16).padStart(2, "0")).join(":");
}
