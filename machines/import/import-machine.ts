/**
 * `croft machine import`: makes a revision of a cloud image. Everything happens in the hidden directory of a revision that is
 * being made: what is fetched, what it unpacks to, and the boot; if anything fails or is interrupted, nothing is left, and what
 * a process that was killed has left is cleared away by the next one.
 */
import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { attempt, Failure } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { formatMachine } from "../../manifests/machine.ts";
import { bootstrapProtocol, machinePaths, manifestPath } from "../layout.ts";
import { findVolume } from "../image/create-machine.ts";
import { beginRevision } from "../image/making.ts";
import { architectureOf, hostArchitecture, type Architecture } from "../qemu/architecture.ts";
import { nextRevision, publishRevision } from "../revisions.ts";
import { makeRuntimeDirectory } from "../runtime-directory.ts";
import type { Storage } from "../storage.ts";
import type { MachineUser } from "../virtual-machine.ts";
import { fetchImage } from "./fetch-image.ts";
import { bootOnce, type FirstBootOptions } from "./first-boot.ts";
import { readDiskTable, tableBytes } from "./partition-table.ts";
import { seedDisk } from "./seed.ts";
import type { ImageSource } from "./source.ts";
import { fetchedName, growDisk, unpackImage } from "./unpack.ts";

interface ImportOptions extends Pick<
  FirstBootOptions,
  "cpus" | "ramKiB" | "accel" | "timeoutSeconds" | "onStep" | "signal"
> {
  /** Name of the machine. */
  name: string;
  summary: string;
  source: ImageSource;
  /** The machines directory; must be there. */
  machines: string;
  /** Name of the volume; without it, the one that has the machine, else the first, else `default`. */
  volume?: string;
  storage: Storage;
  /** How large anything of the image may be. */
  maxBytes: number;
  /** The disk gets this size, if it has less. */
  diskBytes: number;
  /** For images that have none, or none that starts here. */
  boot: DirectBoot;
  /** For a machine that serves the builds of others. */
  role?: "auxiliary";
  /** What cloud-init gets besides. */
  userData?: string;
  /** Whom what reads the image runs as. */
  user: MachineUser | undefined;
  log: Log;
}

/** Files of this host that the machine is started from; without a kernel, its own disk is. */
interface DirectBoot {
  kernel?: string;
  initrd?: string;
  cmdline?: string;
}

/**
 * Makes a revision of a machine from an image, and publishes it.
 *
 * @returns the path of the revision.
 * @throws {Failure} if the image is refused, or does not become a machine; the signal's reason if aborted.
 */
export async function importMachine(options: ImportOptions): Promise<string> {
  const { storage, signal, name, source, role } = options;
  const seed = await seedDisk(options.userData, role);
  const volume = options.volume ?? findVolume(options.machines, name);
  const paths = machinePaths(options.machines, volume, name, "none");
  await using revision = await beginRevision(storage, paths, signal);
  const work = join(revision.path, ".work");
  await mkdir(work, { mode: 0o700 });
  options.onStep("reading the image");
  const sha256 = await fetchImage(source, join(work, fetchedName), {
    ...{ maxBytes: options.maxBytes, signal },
    onProgress: options.onStep,
  });
  const disk = await unpackImage(work, options);
  await placeKernel(revision.path, options.boot, source.name);
  await checkDisk(disk, revision.path, options);
  await growDisk(disk, options.diskBytes);
  await attempt(`import image '${source.name}'`, rename(disk, join(revision.path, "disk.img")));
  await becomeMachine(revision.path, join(work, "run"), seed, options);
  await rm(work, { recursive: true });
  const digest = createHash("sha256").update(sha256).update(randomUUID()).digest("hex").slice(0, 12);
  const id = `${name}-${bootstrapProtocol}.${nextRevision(paths)}-${digest}`;
  await writeFile(
    manifestPath(revision.path),
    formatMachine({ id, name, summary: options.summary, type: "kvm", ...withoutUndefined({ role }) }),
  );
  signal.throwIfAborted();
  options.onStep("publishing");
  await revision.finish();
  return `${paths.current}.${await publishRevision(storage, paths, revision.path)}`;
}

/** Attached after the machine's own disk, for the one boot. */
const seedName = "disk2-seed.img";

async function becomeMachine(
  directory: string,
  runtimeDirectory: string,
  seed: Buffer,
  options: ImportOptions,
): Promise<void> {
  const { name, cpus, ramKiB, accel, timeoutSeconds, onStep, signal, user, log } = options;
  await writeFile(join(directory, seedName), seed);
  await makeRuntimeDirectory(runtimeDirectory);
  await bootOnce({
    ...{ name, directory, runtimeDirectory, cpus, ramKiB, accel, timeoutSeconds, onStep, signal, log },
    ...(user && { user }),
  });
  await rm(join(directory, seedName));
}

async function placeKernel(directory: string, boot: DirectBoot, name: string): Promise<void> {
  const action = `import image '${name}'`;
  for (const file of ["kernel", "initrd"] as const)
    if (boot[file] !== undefined) {
      await attempt(`${action} with ${file} '${boot[file]}'`, copyFile(boot[file], join(directory, file)));
    }
  if (boot.cmdline !== undefined) await writeFile(join(directory, "cmdline"), `${boot.cmdline}\n`);
}

/** Debian's names of what runs on an architecture. */
const fitting: Partial<Record<Architecture, readonly string[]>> = {
  x86_64: ["amd64", "i386"],
  aarch64: ["arm64"],
};

/** @throws {Failure} if a machine cannot start from it. */
async function checkDisk(disk: string, directory: string, { source }: ImportOptions): Promise<void> {
  const action = `import image '${source.name}'`;
  const hasKernel = existsSync(join(directory, "kernel"));
  const table = await readTable(disk);
  if ("refused" in table) {
    // A file system without partitions will do for a kernel that is told so.
    if (hasKernel && /no partition table/.test(table.refused)) return;
    throw new Failure(action, table.refused);
  }
  const hint =
    "Take the image for this host's processor, or give its kernel: --kernel FILE --initrd FILE --cmdline TEXT.";
  const here = architectureOf(directory);
  if (table.architecture !== undefined && fitting[here]?.includes(table.architecture) === false)
    throw new Failure(
      action,
      `it is made for ${table.architecture}, and the machine's processor is ${here}`,
      {
        hints: hasKernel ? [] : [hint],
      },
    );
  if (hasKernel) return;
  if (hostArchitecture() !== "x86_64")
    throw new Failure(action, `machines of ${hostArchitecture()} have no firmware that starts a disk`, {
      hints: [hint],
    });
  if (!table.startsByBios)
    throw new Failure(
      action,
      "its disk has no boot loader for a BIOS: it is for UEFI alone, or another processor",
      {
        hints: [hint],
      },
    );
}

async function readTable(disk: string): Promise<ReturnType<typeof readDiskTable>> {
  await using file = await open(disk, "r");
  const buffer = Buffer.alloc(tableBytes);
  const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
  return readDiskTable(buffer.subarray(0, bytesRead), (await file.stat()).size);
}

/** What an operator adds for cloud-init is a page of text. */
const userDataMaxBytes = 1024 * 1024;

/** @throws {Failure} if it cannot be read. */
export async function readUserData(path: string): Promise<string> {
  const action = `use the user data in '${path}'`;
  const { size } = await attempt(action, stat(path));
  if (size > userDataMaxBytes) throw new Failure(action, `it has more than ${userDataMaxBytes} bytes`);
  return await attempt(action, readFile(path, "utf8"));
}
