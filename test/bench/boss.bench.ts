/**
 * The boss, as it is published, with workers that answer at once: how many results it takes and writes per second, to
 * a tmpfs if there is one. Beside it, what writing the same files alone takes.
 */
import { mkdirSync, mkdtempSync, rmSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { spawnSync } from "node:child_process";
import type { Host } from "../../boss/hosts/hosts.ts";
import { Matrix } from "../../boss/matrix/matrix.ts";
import { combineObservers } from "../../boss/dispatch/observers.ts";
import { Pool } from "../../boss/dispatch/pool.ts";
import { Run } from "../../boss/dispatch/run.ts";
import { HostConnection } from "../../boss/hosts/connection.ts";
import { storing } from "../../boss/results/storing.ts";
import { quote } from "../../os/text/shell-word.ts";
import { launchWorker, type StartedWorker } from "../../boss/hosts/start.ts";
import { ResultStore } from "../../boss/results/store.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { publishTo } from "./published.ts";

const worker = join(import.meta.dirname, "..", "boss", `fake-worker${extname(import.meta.filename)}`);
const ssh = { controlDirectory: "/nonexistent", connectTimeoutSeconds: 5 };
/** Targets, commits, workers. */
const sizes = [
  [2000, 1, 3],
  [200, 10, 3],
  [2000, 10, 3],
  [2000, 10, 100],
] as const;

export default async function bench(): Promise<void> {
  if (process.argv[2] === "run")
    return await measure(process.argv.slice(3).map(Number) as [number, number, number]);
  await using directory = await temporaryDirectory("croft-bench-boss-");
  await publishTo(directory.path, ["test/bench/boss.bench.ts", "test/boss/fake-worker.ts"]);
  const compiled = join(directory.path, "dist", "test", "bench", "boss.bench.js");
  for (const size of sizes) {
    const argv = [compiled, "run", ...size.map(String)];
    const { stdout, stderr } = spawnSync(process.execPath, argv, { encoding: "utf8" });
    process.stdout.write(stdout || stderr);
  }
}

async function measure([targetCount, commitCount, workerCount]: [number, number, number]): Promise<void> {
  const directory = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "croft-bench-"));
  try {
    const targets = Array.from({ length: targetCount }, (_, at) => ({
      name: `board_${at}`,
      arch: "sandbox",
    }));
    const commits = Array.from({ length: commitCount }, (_, at) => ({
      hash: String(at).padStart(40, "0"),
      subject: `Commit ${at}: change something`,
    }));
    const store = new ResultStore(join(directory, "results"), commits);
    const matrix = new Matrix(targets, commits);
    const clock = { began: 0, ended: 0, cpu: process.cpuUsage() };
    const timing = {
      given: () => {
        if (clock.began === 0) Object.assign(clock, { began: performance.now(), cpu: process.cpuUsage() });
      },
      result: () => void (clock.ended = performance.now()),
    };
    await runAll(matrix, workerCount, combineObservers([storing(store, matrix), timing]));
    const { user, system } = process.cpuUsage(clock.cpu);
    const results = targetCount * commitCount;
    const seconds = (clock.ended - clock.began) / 1000;
    await store.settle();
    const alone = await writeAlone(join(directory, "alone"), matrix);
    process.stdout.write(
      `${targetCount} targets x ${commitCount} commits, ${workerCount} workers: ${Math.round(results / seconds)} results/s, ` +
        `${((user + system) / 1e6).toFixed(2)} s of processor time, ${Math.round(process.resourceUsage().maxRSS / 1024)} MB; ` +
        `writing the files alone: ${Math.round(results / alone)} results/s\n`,
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function runAll(
  matrix: Matrix,
  count: number,
  observer: ReturnType<typeof combineObservers>,
): Promise<void> {
  const hosts = Array.from({ length: count }, (_, at): Host => ({
    name: `w${at}`,
    destination: undefined,
    workDirectory: "/nonexistent",
  }));
  // All workers are there before the first gets work: their start is not what is measured.
  const started = await Promise.all(
    hosts.map((host) =>
      launchWorker(
        new HostConnection(host, ssh),
        `${quote(process.execPath)} ${quote(worker)} 8`,
        {},
        {
          settings: {},
          answerTimeoutSeconds: 120,
          onComplaint: (_host, line) => process.stderr.write(`${line}\n`),
          signal: new AbortController().signal,
        },
      ),
    ),
  );
  const byName = new Map<string, StartedWorker>(started.map((each) => [each.host.name, each]));
  const run = new Run({
    ...{
      hosts,
      matrix,
      batch: false,
      buildTimeoutSeconds: 300,
      silentBuildSeconds: 300,
      longestBuildSeconds: 3600,
      observer,
    },
    pool: new Pool(matrix.targets, [...matrix.targets.keys()]),
    start: (host) => Promise.resolve(byName.get(host.name)!),
    signal: new AbortController().signal,
  });
  const { remaining } = await run.run();
  if (remaining.length > 0) throw new Error(`${remaining.length} targets are left`);
}

/** Seconds for the files of all results, and nothing else. */
async function writeAlone(directory: string, matrix: Matrix): Promise<number> {
  mkdirSync(directory);
  const store = new ResultStore(directory, matrix.commits);
  const began = performance.now();
  for (const target of matrix.targets)
    for (const commit of matrix.commits.keys())
      store.write(target, commit, {
        ...{ returnCode: 0, stderr: "", stdout: "", host: "w0" },
        sizes: "  72377\t   2488\t      0\t  74865\t  12471\tu-boot\n",
      });
  await store.settle();
  return (performance.now() - began) / 1000;
}

if (process.argv[2] === "run") await bench();
