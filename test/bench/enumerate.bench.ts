/**
 * Looking through a thousand machines that are up to date, beside what it would cost to make and delete a snapshot of
 * each on every round.
 */
import diagnostics from "node:diagnostics_channel";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLog } from "../../os/log.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { BootstrapBackoff } from "../../machines/enumeration/bootstrap-backoff.ts";
import { BootstrapWaits } from "../../machines/enumeration/bootstrap-waits.ts";
import type { EnumerationContext } from "../../machines/enumeration/enumeration-context.ts";
import { enumerateMachines } from "../../machines/enumeration/enumerate.ts";
import { machinePaths, manifestPath, revisionPath } from "../../machines/layout.ts";
import { openStorage } from "../../machines/open-storage.ts";
import { temporarySnapshot } from "../../machines/temporary-snapshot.ts";
import { takeToolchainLock } from "../../machines/toolchain-lock.ts";
import { formatBootstrappedMachine } from "../../manifests/bootstrapped-machine.ts";
import { formatMachine, type Machine } from "../../manifests/machine.ts";
import { btrfsFileSystem } from "../fixtures/machines/btrfs.ts";

const machineCount = 1000;
const sampleCount = 50;
const rounds = 15;

export default async function bench(): Promise<void> {
  await using system = await btrfsFileSystem();
  makeMachines(system.path);
  const log = silentLog();
  const storage = await openStorage(system.path, "auto", log);
  const context: EnumerationContext = {
    directory: system.path,
    toolchain: { name: "gcc", id: "gcc-12" },
    instance: 1,
    instanceMax: 0,
    workerVersion: "1.2.0",
    storage,
    bootstrapBackoff: new BootstrapBackoff(),
    bootstrapWaits: new BootstrapWaits(),
    copies: 1,
    log,
  };
  await using locks = await temporaryDirectory("croft-test-bench-");
  const lockPath = join(locks.path, "toolchain.lock");
  const look = async () => {
    using lock = await takeToolchainLock(lockPath, log);
    await using found = await enumerateMachines(context, lock);
    if (found.machines.length !== machineCount) throw new Error(`${found.machines.length} machines`);
  };
  const first = await measure(look); // makes the lock files, and compiles
  const before = await writtenBytes(system.device);
  let started = 0;
  const count = () => started++;
  diagnostics.subscribe("child_process", count);
  const times: Cost[] = [];
  for (let round = 0; round < rounds; round++) times.push(await measure(look));
  diagnostics.unsubscribe("child_process", count);
  const written = (await writtenBytes(system.device)) - before;
  times.sort((a, b) => a.processorMs - b.processorMs);
  const typical = times[Math.floor(rounds / 2)]!;
  const [least, most] = [times[0]!, times.at(-1)!];
  const snapshots = await measureSnapshots(context);

  const line = (what: string, value: string) => process.stdout.write(`${what.padEnd(56)} ${value}\n`);
  const cost = ({ processorMs, elapsedMs }: Cost) =>
    `${processorMs.toFixed(0)} ms of processor time, ${elapsedMs.toFixed(0)} ms elapsed`;
  line(`enumerate ${machineCount} machines, first time`, cost(first));
  line("enumerate again (median; goal: below 100 ms)", cost(typical));
  line("  least and most", `${least.processorMs.toFixed(0)} and ${most.processorMs.toFixed(0)} ms`);
  line(`  in ${rounds} rounds: processes started, bytes written`, `${started}, ${written}`);
  line(`a snapshot made and deleted for each (from ${sampleCount})`, cost(snapshots));
  const ratio = (name: keyof Cost) => (snapshots[name] / typical[name]).toFixed(0);
  line("ratio", `${ratio("processorMs")} of processor time, ${ratio("elapsedMs")} elapsed`);
}

interface Cost {
  /** Of this process and of the children it has waited for. */
  processorMs: number;
  elapsedMs: number;
}

/** Machines that are bootstrapped; written directly, as a thousand revisions are not what is measured. */
function makeMachines(directory: string): void {
  for (let index = 0; index < machineCount; index++) {
    const name = `debian_12-gcc_12.${index}`;
    const paths = machinePaths(directory, "default", name, "gcc");
    const machine: Machine = {
      id: `${name}-1.1`,
      name,
      summary: "Debian 12 with GCC 12.2 and build tools",
      role: "build",
      ramMinimumKiB: 1048576,
      type: "kvm",
      changes: "- New minor version of GCC.\n- Packages updated.",
    };
    mkdirSync(revisionPath(paths, 1), { recursive: true });
    mkdirSync(paths.bootstrapped);
    symlinkSync(`${name}-1.1`, paths.current);
    writeFileSync(manifestPath(revisionPath(paths, 1)), formatMachine(machine));
    const bootstrapped = {
      machine: { ...machine, mac: "02:00:00:00:00:01" },
      toolchain: { id: "gcc-12" },
      bootstrap: { versions: { croft: "1.2.0", gcc: "12.2.0", binutils: "2.40.0" } },
    };
    writeFileSync(manifestPath(paths.bootstrapped), formatBootstrappedMachine(bootstrapped));
  }
}

async function measure(action: () => Promise<void>): Promise<Cost> {
  const [processor, begin] = [processorMs(), performance.now()];
  await action();
  return { processorMs: processorMs() - processor, elapsedMs: performance.now() - begin };
}

function processorMs(): number {
  const { user, system } = process.cpuUsage();
  // proc(5): cutime and cstime, the 14th and 15th after the name, in ticks of 10 ms.
  const fields = readFileSync("/proc/self/stat", "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  return (user + system) / 1000 + (Number(fields[13]) + Number(fields[14])) * 10;
}

/** What snapshots of all machines would cost, from a sample of some. */
async function measureSnapshots({ directory, storage, log }: EnumerationContext): Promise<Cost> {
  const source = join(directory, "default", "sample");
  await storage.createSubvolume(source);
  const paths = { ...machinePaths(directory, "default", "x", "gcc"), bootstrapped: join(directory, "x-gcc") };
  const options = { from: source, paths, instance: 1, mode: "overlay" as const, log };
  const sample = await measure(async () => {
    for (let index = 0; index < sampleCount; index++) {
      await using _snapshot = await temporarySnapshot(storage, options);
    }
  });
  const scale = machineCount / sampleCount;
  return { processorMs: sample.processorMs * scale, elapsedMs: sample.elapsedMs * scale };
}

/** Bytes written to a block device since it was there (sysfs: Documentation/block/stat.rst, 512-byte sectors). */
async function writtenBytes(device: string): Promise<number> {
  const name = device.split("/").at(-1)!;
  const fields = readFileSync(`/sys/block/${name}/stat`, "utf8").trim().split(/\s+/);
  return Number(fields[6]) * 512;
}
