/** Boots a machine and waits for its first sign of life, trying again after a mis-boot. */
import { randomInt } from "node:crypto";
import type { Log } from "../host/log.ts";
import { startVirtualMachine } from "../machines/qemu/start.ts";
import type { MachineEnd } from "../machines/virtual-machine.ts";
import type { Machine } from "../manifests/machine.ts";
import { makeDirectory } from "./directories.ts";
import { keepEvidence } from "./evidence.ts";
import { Exchange } from "./exchange.ts";
import type { Settings } from "./settings.ts";

export interface BootOptions {
  settings: Settings;
  machine: Machine;
  mac: string;
  /** Where the machine's disks are; called for each try, so that a task gets a fresh snapshot each time. */
  snapshot: () => Promise<string>;
  readable: string;
  writable: string;
  startupTimeoutSeconds: number;
  retries: number;
  evidence: string;
  onLog?: (chunk: Buffer) => void;
  log: Log;
  signal: AbortSignal;
}

/** A machine that has shown a sign of life; or why there is none. */
export type Booted =
  | { exchange: Exchange }
  | { failed: "ended"; end: MachineEnd }
  | { failed: "misboot"; reason: string; evidence: string };

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
  for (let attempt = 0; ; attempt++) {
    await using stack = new AsyncDisposableStack();
    const exchange = stack.use(await start(options));
    const first = await exchange.waitForFirstRequest(startupTimeoutSeconds, signal);
    if (first.kind === "done") {
      stack.move();
      return { exchange };
    }
    const files = exchange.machine ? [exchange.machine.consoleFile] : [];
    const evidence = await keepEvidence(options.evidence, options.machine.name, files, log);
    if (first.kind === "ended") {
      log.error(
        { machine: options.machine.name, end: first.end.detail, evidence },
        "machine ended before its first sign of life",
      );
      return { failed: "ended", end: first.end };
    }
    const reason = `no sign of life within ${startupTimeoutSeconds} s`;
    if (attempt >= retries) {
      log.error(
        { machine: options.machine.name, evidence, description: exchange.machine?.describe() },
        `mis-boot: ${reason}, no retry left`,
      );
      return { failed: "misboot", reason, evidence };
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
  await makeDirectory(settings.runtime);
  return Exchange.start({
    readable: options.readable,
    writable: options.writable,
    address: "127.0.0.1", // the user network shows the guest the host's loopback
    port: settings.tftpPort,
    uploadMaxBytes: settings.uploadMaxBytes,
    log,
    start: (tftpPort) =>
      startVirtualMachine({
        name: `${machine.name}-${settings.toolchain.name}-${settings.instance}`,
        machine,
        mac: options.mac,
        directory: snapshot,
        runtimeDirectory: settings.runtime,
        network: { kind: "user", tftpPort },
        cpus: settings.cpus,
        ramKiB: clampRam(settings.ramKiB, machine),
        accel: settings.accel,
        ...(settings.qemu === undefined ? {} : { qemu: settings.qemu }),
        ...(options.onLog ? { onLog: options.onLog } : {}),
        log,
        signal,
      }),
  });
}

/** The memory of a machine in KiB: what the agent gives, within what the machine says it needs. */
export function clampRam(ramKiB: number, machine: Machine): number {
  return Math.min(Math.max(ramKiB, machine.ramMinimumKiB ?? 0), machine.ramMaximumKiB ?? Infinity);
}

/** A locally administered unicast MAC address (IEEE 802: second bit of the first octet set, first clear). */
export function randomMac(): string {
  const octets = Array.from({ length: 6 }, () => randomInt(256));
  octets[0] = (octets[0]! & 0xfc) | 0x02;
  return octets.map((octet) => octet.toString(16).padStart(2, "0")).join(":");
}
