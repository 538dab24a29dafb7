import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { attempt, Failure, isSystemError, reasonOf } from "../os/failure.ts";
import { guestWorker } from "../os/files/guest-worker.ts";
import { compareVersions } from "../manifests/version.ts";
import { instanceName, type Settings } from "./settings/settings.ts";

/** Where the agent exchanges files with its machines (agent.md, machines.md). */
export interface Directories {
  /** Read by every machine that is bootstrapped for the toolchain. */
  toolchain: string;
  /** Written by the machine that is bootstrapped. */
  bootstrap: string;
  /** Read and written by the machine that performs a task. */
  get: string;
  put: string;
  /** Consoles and unreadable results of machines that failed. */
  evidence: string;
}

export function directoriesOf(settings: Settings): Directories {
  const instance = instanceName(settings);
  return {
    toolchain: join(settings.tftp, "toolchains", settings.toolchain.name),
    bootstrap: join(settings.tftp, "bootstrap", instance),
    get: join(settings.tftp, "build", instance, "get"),
    put: join(settings.tftp, "build", instance, "put"),
    evidence: join(settings.spool, instance, "evidence"),
  };
}

/** Makes directories that hold one boot's files, empty. */
export async function freshDirectories(...paths: string[]): Promise<void> {
  await removeDirectories(...paths);
  for (const path of paths) await makeDirectory(path);
}

/** @throws {Failure} if one cannot be removed. */
export async function removeDirectories(...paths: string[]): Promise<void> {
  for (const path of paths)
    await attempt(
      `remove the directory '${path}'`,
      rm(path, { recursive: true, force: true, maxRetries: 3 }),
    );
}

/** @throws {Failure} if the directory cannot be made. */
export async function makeDirectory(path: string): Promise<void> {
  await attempt(`make the directory '${path}'`, mkdir(path, { recursive: true }));
}

const versionLine = /^croft_worker_version=["']?([^"'\s]+)/m;

/**
 * Puts the bundled worker where bootstrapping machines get it, unless the operator keeps another there: one without
 * croft's version line, or a newer one.
 *
 * @returns the version of the worker that is served; undefined for an operator's own without a version line.
 */
export async function provideWorker(toolchainDirectory: string): Promise<string | undefined> {
  await makeDirectory(toolchainDirectory);
  const served = join(toolchainDirectory, "worker");
  const bundled = await guestWorker();
  const ours = versionLine.exec(bundled)?.[1];
  if (ours === undefined) throw new Error("the bundled worker has no version line");
  const text = await readFile(served, "utf8").catch((error: unknown) => {
    if (isSystemError(error, "ENOENT")) return undefined;
    throw new Failure(`read '${served}'`, reasonOf(error), { cause: error });
  });
  if (text !== undefined) {
    const version = versionLine.exec(text)?.[1];
    if (version === undefined || compareVersions(version, ours) > 0) return version;
    if (text === bundled) return version;
  }
  // Other instances may read it at this moment: it appears complete or not at all.
  const temporary = `${served}.${process.pid}.new`;
  const write = writeFile(temporary, bundled, { mode: 0o755 }).then(() => rename(temporary, served));
  await attempt(`write '${served}'`, write);
  return ours;
}
