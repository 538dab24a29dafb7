/** Runs test files by node's test runner, marked as one run, and looks for what they left on the host. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readdir, realpath } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { packageFile } from "../../os/files/package.ts";
import { killGroup } from "../../os/run.ts";
import { useModules } from "../setup/in-use.ts";
import type { InOrderOptions } from "./in-order.ts";
import { findLeaks, listUnmarked, markVariable, removeLeaks, type Marks } from "./leaks.ts";
import { readRecords, summary, timesVariable, type FileTime } from "./slowest.ts";
import { together } from "./together.ts";

/** Test files at a time: more than processors, as a test waits for something half of its time. */
const concurrency = Math.min(6, availableParallelism() + 2);

/** Of 107 bytes for a socket's path, 75 are needed below the place where the run makes its directory. */
const longestPlaceBytes = 32;
const otherPlace = "/tmp";

export interface RunFilesOptions {
  /** Patterns of the names of tests; all if empty. */
  names: readonly string[];
  /** Longest time of one test, and of one file. */
  timeoutSeconds: number;
}

/**
 * Runs the files.
 *
 * @returns the exit status: 0 only if all tests passed and nothing was left behind.
 */
export async function runFiles(files: readonly string[], options: RunFilesOptions): Promise<number> {
  using _inUse = await useModules();
  const parent = await placeForSockets();
  await sweep(parent);
  // Short: the paths of sockets made below it must stay under 108 bytes.
  const directory = await mkdtemp(join(parent, `ct-${process.pid}-`));
  await chmod(directory, 0o711); // a database server is another user
  const marks: Marks = { id: `${process.pid}-${Date.now()}`, directory };
  const before = await listUnmarked();
  const status = await runNode(files, options, marks);
  const leaks = await findLeaks(marks, before);
  const stuck = await removeLeaks(leaks, marks);
  for (const { description } of leaks) process.stdout.write(`left behind by the tests: ${description}\n`);
  for (const description of stuck) process.stdout.write(`cannot remove: ${description}\n`);
  if (leaks.length === 0) process.stdout.write("The tests left nothing behind on this host.\n");
  return status || (leaks.length > 0 || stuck.length > 0 ? 1 : 0);
}

/** TMPDIR, unless the sockets that tests make below it would have paths that are too long for the kernel. */
async function placeForSockets(): Promise<string> {
  const wanted = await realpath(tmpdir());
  if (Buffer.byteLength(wanted) <= longestPlaceBytes) return wanted;
  process.stdout.write(`TMPDIR is too long for the paths of sockets: the tests use ${otherPlace}\n`);
  return otherPlace;
}

/** Removes what a run left that was killed before it could look. */
async function sweep(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const pid = /^ct-(\d+)-/.exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    const marks: Marks = { id: `of ${pid}`, directory: join(parent, name) };
    await removeLeaks(await findLeaks(marks, await listUnmarked()), marks);
  }
}

/** Runs node's test runner and tells the slowest tests; its exit status. */
async function runNode(
  files: readonly string[],
  { names, timeoutSeconds }: RunFilesOptions,
  marks: Marks,
): Promise<number> {
  await using directory = await temporaryDirectory("records-", marks.directory);
  const [records, times] = [join(directory.path, "records"), join(directory.path, "times")];
  const given: InOrderOptions = {
    ...{ files: await together(files, directory.path), concurrency, names, timeoutMs: timeoutSeconds * 1000 },
    records,
  };
  const args = [join(import.meta.dirname, "in-order.ts"), JSON.stringify(given)];
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    TMPDIR: marks.directory,
    // Hundreds of processes start from the sources: each saves two thirds of its start. Not in TMPDIR, as a leak.
    NODE_COMPILE_CACHE: packageFile(".cache", "compiled"),
    [markVariable]: marks.id,
    [timesVariable]: times,
  };
  // A group of its own, so that an interrupted run is ended as a whole; it does not outlive this process either.
  const child = spawn("setpriv", ["--pdeathsig", "TERM", process.execPath, ...args], {
    cwd: packageFile(),
    env,
    detached: true,
    stdio: ["ignore", "inherit", "inherit"],
  });
  let interrupted = 0;
  const end = (signal: NodeJS.Signals) => {
    interrupted ||= signal === "SIGINT" ? 130 : 143;
    killGroup(child.pid, "SIGTERM");
    setTimeout(() => killGroup(child.pid, "SIGKILL"), 15_000).unref();
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, end);
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    if (interrupted === 0)
      process.stdout.write(summary(await readRecords(records), await readRecords<FileTime>(times)));
    return interrupted || (status ?? 1);
  } finally {
    for (const signal of signals) process.off(signal, end);
  }
}
