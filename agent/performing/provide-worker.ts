import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { attempt, Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import { makeDirectory } from "../../os/files/directories.ts";
import { guestWorker } from "../../os/files/guest-worker.ts";
import { compareVersions } from "../../manifests/version.ts";

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
