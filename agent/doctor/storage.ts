/** The machines directory: file system, space, snapshots that are really made, machines. */
import { mkdir, readdir, rm, statfs, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { randomTail } from "../../os/files/random-tail.ts";
import { isSystemError, reasonOf } from "../../os/failure.ts";
import { silentLog } from "../../os/log.ts";
import { run } from "../../os/run.ts";
import { visibleDirectories } from "../../machines/layout.ts";
import { summarizeMachines } from "../../machines/commands/inventory.ts";
import { btrfsMagic, openStorage } from "../../machines/open-storage.ts";
import type { Storage } from "../../machines/storage.ts";
import type { Settings } from "../settings/settings.ts";
import { ok, problem, warning, type Check, type Finding } from "./check.ts";
import { GiB } from "../../os/text/size.ts";
import { checkSpace, judgeMetadata, parseBtrfsUsage } from "./space.ts";

/** A machine of a few Debian packages has 1 to 3 GiB. */
const machineSpace = { least: GiB, comfortable: 10 * GiB };
const volumesMaximum = 16;

export const storageChecks: readonly Check[] = [
  { name: "machines directory", run: checkPlaces },
  { name: "build machines", run: async (settings) => checkMachines(settings) },
];

/** Each volume may be a file system of its own. */
async function checkPlaces(settings: Settings, signal: AbortSignal): Promise<Finding[]> {
  const { machines, storage } = settings;
  let volumes: string[];
  try {
    volumes = visibleDirectories(await readdir(machines, { withFileTypes: true }));
  } catch (error) {
    const fix = isSystemError(error, "ENOENT")
      ? `mkdir -p ${machines}`
      : `Mend ${machines}, or give --machines DIR`;
    return [problem("machines directory", `${machines}: ${reasonOf(error)}`, fix)];
  }
  const places = volumes.length === 0 ? [machines] : volumes.map((name) => join(machines, name));
  const seen = await Promise.all(
    places.slice(0, volumesMaximum).map((place) => checkPlace(place, storage, signal)),
  );
  return seen.flat();
}

async function checkPlace(place: string, kind: Settings["storage"], signal: AbortSignal): Promise<Finding[]> {
  const isBtrfs = (await statfs(place)).type === btrfsMagic;
  const findings = [await checkSpace("machines space", place, machineSpace)];
  if (isBtrfs) findings.push(...(await checkMetadata(place, signal)));
  findings.push(await trySnapshot(place, kind, isBtrfs, signal));
  return findings;
}

async function checkMetadata(place: string, signal: AbortSignal): Promise<Finding[]> {
  try {
    const { stdout } = await run(["btrfs", "filesystem", "usage", "-b", place], {
      timeoutSeconds: 10,
      signal,
    });
    const usage = parseBtrfsUsage(stdout);
    return usage ? [judgeMetadata(place, usage)] : [];
  } catch (error) {
    signal.throwIfAborted();
    return [problem("btrfs metadata", reasonOf(error), "apt-get install btrfs-progs")];
  }
}

/** Makes a tree with a disk, a task's copy of it, and removes both, as agents do. */
async function trySnapshot(
  place: string,
  kind: Settings["storage"],
  isBtrfs: boolean,
  signal: AbortSignal,
): Promise<Finding> {
  // Hidden: nobody takes it for a machine.
  const trial = join(place, `.croft-doctor-${process.pid}-${randomTail()}`);
  let storage: Storage | undefined;
  const [machine, task] = [join(trial, "machine"), join(trial, "task")];
  try {
    storage = await openStorage(place, kind, silentLog());
    await mkdir(trial);
    await storage.createSubvolume(machine, signal);
    await writeFile(join(machine, "disk.img"), "");
    await truncate(join(machine, "disk.img"), 1024 * 1024);
    await storage.overlay(machine, task, signal);
    await storage.remove(task);
    await storage.remove(machine);
  } catch (error) {
    signal.throwIfAborted();
    return problem("snapshots", reasonOf(error), snapshotFix(place, isBtrfs, error));
  } finally {
    for (const tree of [task, machine]) await storage?.remove(tree).catch(() => {});
    await rm(trial, { recursive: true, force: true });
  }
  const isRoot = process.geteuid?.() === 0;
  if (kind !== "directory" && isBtrfs && isRoot) return ok("snapshots", `btrfs subvolumes at ${place}`);
  const found = `plain directories and disk overlays at ${place}`;
  if (kind === "directory") return ok("snapshots", found);
  return warning(
    "snapshots",
    `${found}: each bootstrap copies whole disks`,
    `Put a btrfs file system there (mkfs.btrfs DEVICE; mount DEVICE ${place}) and run the agent as root, ` +
      "or give --storage directory.",
  );
}

function snapshotFix(place: string, isBtrfs: boolean, error: unknown): string {
  // Of a program there are only the words.
  if (/no space left|quota exceeded/i.test(reasonOf(error))) return `Make room at ${place}, as said above`;
  if (!isBtrfs) return `Let the agent's user write to ${place}; apt-get install qemu-utils`;
  return `Let the agent's user write to ${place}; apt-get install btrfs-progs qemu-utils`;
}

function describeCopies({ machineCopies }: Settings): string {
  if (machineCopies === "auto") return "each serves as many builds at a time as instances run";
  if (machineCopies > 1) return `each serves ${machineCopies} builds at a time`;
  return "each serves one build at a time (more with --machine-copies)";
}

function checkMachines(settings: Settings): Finding[] {
  const { machines, toolchain } = settings;
  const found = summarizeMachines(machines, toolchain.name);
  const usable = found.filter(({ problem: trouble }) => trouble === undefined);
  const findings = found
    .filter(({ problem: trouble }) => trouble !== undefined)
    .map(({ name, problem: trouble }) =>
      warning("build machines", `${name} cannot be used: ${trouble}`, `croft machine show ${name}`),
    );
  if (usable.length > 0)
    findings.unshift(
      ok("build machines", `${usable.map(({ name }) => name).join(", ")}; ${describeCopies(settings)}`),
    );
  else
    findings.unshift(
      warning(
        "build machines",
        `there are none in ${machines}`,
        `croft machine create debian_12 --machines ${machines}`,
      ),
    );
  return findings;
}
