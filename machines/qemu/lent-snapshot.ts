/**
 * A machine with options of its own names its files itself, so they are lent to QEMU's user for as long as it runs, with
 * the directory that they lie in.
 */
import { chmod, copyFile, lchown, lstat, readdir, rename, rm } from "node:fs/promises";
import { constants } from "node:fs";
import { join } from "node:path";
import { attempt } from "../../os/failure.ts";
import { run } from "../../os/run.ts";
import type { MachineUser, StartOptions } from "../virtual-machine.ts";
import type { BackingFile } from "./backing-files.ts";
import { backingChain, disksOf } from "./disks.ts";
import type { InheritedFiles } from "./inherited-files.ts";

const rebaseTimeoutSeconds = 60;

/**
 * Lends a snapshot, if that is needed.
 *
 * @returns takes it back, once.
 * @throws {Failure} if that is not possible.
 */
export async function lendSnapshot(
  options: StartOptions,
  files: InheritedFiles,
): Promise<() => Promise<void>> {
  const { directory, machine, user } = options;
  if (user === undefined || (machine.options ?? []).length === 0) return () => Promise.resolve();
  const giveBack = await attempt(`lend '${directory}' to a machine`, changeOwner(directory, user));
  const restore = await lendBackingFiles(options, files);
  let isLent = true;
  return async () => {
    if (!isLent) return;
    isLent = false;
    await giveBack();
    await restore();
  };
}

async function changeOwner(directory: string, user: MachineUser): Promise<() => Promise<void>> {
  const owners: { path: string; uid: number; gid: number }[] = [];
  for (const name of ["", ...(await readdir(directory, { recursive: true }))]) {
    const path = join(directory, name);
    const found = await lstat(path);
    // A task's snapshot may share a file with what it was made of.
    if (found.isFile() && found.nlink > 1) await separate(path, found.mode);
    owners.push({ path, uid: found.uid, gid: found.gid });
    await lchown(path, user.id, user.id);
  }
  return async () => {
    for (const { path, uid, gid } of owners) await lchown(path, uid, gid);
  };
}

async function separate(path: string, mode: number): Promise<void> {
  const copy = `${path}.croft`;
  try {
    await copyFile(path, copy, constants.COPYFILE_FICLONE);
    await chmod(copy, mode & 0o7777);
    await rename(copy, path);
  } finally {
    await rm(copy, { force: true });
  }
}

/** An overlay is based on a disk of another tree: its header gets names by which QEMU has that open. */
async function lendBackingFiles(options: StartOptions, files: InheritedFiles): Promise<() => Promise<void>> {
  const before: { disk: string; backing: BackingFile }[] = [];
  for (const name of disksOf(options)) {
    const disk = join(options.directory, name);
    const [first, ...more] = backingChain(disk, options.directory, files);
    if (first === undefined || !first.isOpen) continue;
    let json: object = {};
    for (const { format, name: filename } of [first, ...more].reverse())
      json = {
        driver: format,
        file: { driver: "file", filename },
        ...("driver" in json && { backing: json }),
      };
    before.push({ disk, backing: { name: first.written, format: first.format } });
    await rebase(disk, { name: `json:${JSON.stringify(json)}`, format: first.format });
  }
  return async () => {
    for (const { disk, backing } of before) await rebase(disk, backing);
  };
}

/** Changes what a disk says it is based on, and nothing else. */
async function rebase(disk: string, { name, format }: BackingFile): Promise<void> {
  const argv = ["qemu-img", "rebase", "-q", "-u", "-f", "qcow2", "-F", format ?? "raw", "-b", name, disk];
  await run(argv, { timeoutSeconds: rebaseTimeoutSeconds });
}
