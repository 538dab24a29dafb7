/**
 * `npm test [-- PATH-PART… [--name PATTERN]]`: runs all tests, or those whose path contains one of the words, the
 * fast ones first; then looks for what they left on the host, which fails the run too. With `--soak` (`npm run soak`)
 * it is the long ones, `*.soak.ts`, which no other run includes.
 */
import { spawn } from "node:child_process";
import { existsSync, globSync } from "node:fs";
import { chmod, mkdtemp, readdir, realpath } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { reasonOf } from "../os/failure.ts";
import { packageFile, packageRoot } from "../os/files/package.ts";
import { killGroup } from "../os/run.ts";
import { useModules } from "./setup/in-use.ts";
import { findLeaks, listUnmarked, markVariable, removeLeaks, type Marks } from "./setup/leaks.ts";

/** Longest time of one test, and of one file, in seconds. */
const testTimeoutSeconds = 900;
const soakTimeoutSeconds = 3 * 3600;
/** Test files at a time: more than processors, as many tests wait for something most of their time. */
const concurrency = 3;

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`Cannot run the tests: ${reasonOf(error)}\n`);
  process.exitCode = 1;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { name: { type: "string", multiple: true, short: "n" }, soak: { type: "boolean" } },
  });
  const patterns = values.soak ? ["test/**/*.soak.ts"] : ["test/**/*.test.ts", "test/**/*.real.ts"];
  const files = testFiles(patterns, positionals);
  if (files.length === 0) {
    process.stderr.write(`There is no test file with ${positionals.join(" or ")} in its path\n`);
    return 2;
  }
  using _inUse = await useModules();
  const parent = await realpath(tmpdir());
  await sweep(parent);
  // Short: the paths of sockets made below it must stay under 108 bytes.
  const directory = await mkdtemp(join(parent, `ct-${process.pid}-`));
  await chmod(directory, 0o711); // a database server is another user
  const marks: Marks = { id: `${process.pid}-${Date.now()}`, directory };
  const before = await listUnmarked();
  const limit = values.soak ? soakTimeoutSeconds : testTimeoutSeconds;
  const status = await runNode(files, { names: values.name ?? [], timeoutSeconds: limit }, marks);
  const leaks = await findLeaks(marks, before);
  const stuck = await removeLeaks(leaks, marks);
  for (const { description } of leaks) process.stdout.write(`left behind by the tests: ${description}\n`);
  for (const description of stuck) process.stdout.write(`cannot remove: ${description}\n`);
  if (leaks.length === 0) process.stdout.write("The tests left nothing behind on this host.\n");
  return status || (leaks.length > 0 || stuck.length > 0 ? 1 : 0);
}

function testFiles(patterns: readonly string[], words: readonly string[]): string[] {
  const all = patterns.flatMap((pattern) => globSync(pattern, { cwd: packageRoot }).sort());
  return words.length === 0 ? all : all.filter((file) => words.some((word) => file.includes(word)));
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

/** Runs node's test runner over the files; its exit status. */
async function runNode(
  files: readonly string[],
  { names, timeoutSeconds }: { names: readonly string[]; timeoutSeconds: number },
  marks: Marks,
): Promise<number> {
  const args = [
    "--test",
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${timeoutSeconds * 1000}`,
    "--test-reporter=spec",
    ...names.map((name) => `--test-name-pattern=${name}`),
    ...files,
  ];
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    TMPDIR: marks.directory,
    // Hundreds of processes start from the sources: each saves two thirds of its start. Not in TMPDIR, as a leak.
    NODE_COMPILE_CACHE: packageFile(".cache", "compiled"),
    [markVariable]: marks.id,
  };
  // A group of its own, so that an interrupted run is ended as a whole; it does not outlive this process either.
  const child = spawn("setpriv", ["--pdeathsig", "TERM", process.execPath, ...args], {
    cwd: packageRoot,
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
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, end);
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  return interrupted || (status ?? 1);
}
