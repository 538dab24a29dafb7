/** The boss against workers that are not croft's: recorded sessions, and a double that breaks the protocol by chance. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import type { Host } from "../../boss/hosts/hosts.ts";
import { Matrix } from "../../boss/matrix/matrix.ts";
import { combineObservers } from "../../boss/dispatch/observers.ts";
import { Pool } from "../../boss/dispatch/pool.ts";
import { Run } from "../../boss/dispatch/run.ts";
import { HostConnection } from "../../boss/hosts/connection.ts";
import { quote } from "../../os/text/shell-word.ts";
import { launchWorker, type StartedWorker } from "../../boss/hosts/start.ts";
import type { BuildResult } from "../../worker/protocol.ts";
import { Random } from "../manifests/random.ts";
import { patienceMs } from "../fixtures/patience.ts";

const double = join(import.meta.dirname, "double.pl");
const transcripts = join(import.meta.dirname, "..", "worker", "vectors");
const scripts = Number(process.env["CROFT_DOUBLE_SCRIPTS"] ?? 25);
const ssh = { controlDirectory: "/nonexistent", connectTimeoutSeconds: 5 };

interface World {
  matrix: Matrix;
  stored: Map<string, number>;
  givenUp: Map<number, string>;
  results: BuildResult[];
}

/** A run with local processes as workers. */
async function runWith(
  hosts: readonly Host[],
  size: { targets: readonly { name: string; arch: string }[]; commits: number | readonly string[] },
  commandOf: (host: Host, start: number) => string,
  options: { batch?: boolean; settings?: Record<string, unknown>; toolchains?: Record<string, string> } = {},
) {
  const hashes =
    typeof size.commits === "number"
      ? Array.from({ length: size.commits }, (_, at) => String(at).padStart(40, "0"))
      : size.commits;
  const matrix = new Matrix(
    size.targets,
    hashes.map((hash) => ({ hash, subject: "s" })),
  );
  const world: World = { matrix, stored: new Map(), givenUp: new Map(), results: [] };
  const starts = new Map<string, number>();
  const start = async (host: Host, signal: AbortSignal): Promise<StartedWorker> => {
    await using stack = new AsyncDisposableStack();
    const connection = stack.use(new HostConnection(host, ssh));
    const times = (starts.get(host.name) ?? 0) + 1;
    starts.set(host.name, times);
    const settings = {
      settings: options.settings ?? {},
      answerTimeoutSeconds: 30,
      onComplaint: () => {},
      signal,
    };
    const worker = await launchWorker(connection, commandOf(host, times), options.toolchains ?? {}, settings);
    stack.move();
    return worker;
  };
  const observer = combineObservers([
    {
      result: (_host, target, commit, result) => {
        const cell = `${target} ${commit}`;
        world.stored.set(cell, (world.stored.get(cell) ?? 0) + 1);
        world.results.push(result);
      },
      gaveUp: (target, reason) => void world.givenUp.set(target, reason),
    },
  ]);
  const run = new Run({
    ...{
      hosts,
      matrix,
      batch: options.batch ?? false,
      buildTimeoutSeconds: 20,
      silentBuildSeconds: 20,
      longestBuildSeconds: 600,
      start,
      observer,
    },
    pool: new Pool(size.targets, [...size.targets.keys()]),
    signal: AbortSignal.timeout(patienceMs),
  });
  return { ...world, outcome: await run.run() };
}

const localHost = (name: string): Host => ({ name, destination: undefined, workDirectory: "/nonexistent" });

test(`${scripts} random scripts of workers: no hang, no target lost or doubled`, async (context) => {
  const counts = { built: 0, givenUp: 0, remaining: 0 };
  for (let seed = 1; seed <= scripts; seed++) {
    const random = new Random(seed);
    const names = Array.from({ length: 1 + random.below(3) }, (_, at) => `w${at}`);
    const targets = Array.from({ length: 1 + random.below(6) }, (_, at) => ({
      name: `t${at}`,
      arch: "sandbox",
    }));
    const faults = random.pick([0, 50, 200, 500]);
    const commits = 1 + random.below(3);
    const { outcome, matrix, stored, givenUp } = await runWith(
      names.map(localHost),
      { targets, commits },
      ({ name }, start) =>
        `perl ${quote(double)} ${seed * 100 + Number(name.slice(1)) * 10 + start} ${faults}`,
      { batch: random.below(4) === 0 },
    );
    assert.ok(!outcome.interrupted, `seed ${seed} hangs`);
    for (const [target] of targets.entries()) {
      let missing = 0;
      for (let commit = 0; commit < commits; commit++) {
        const times = stored.get(`${target} ${commit}`) ?? 0;
        assert.ok(times <= 1, `seed ${seed}: ${target} ${commit} came ${times} times`);
        if (times === 0) missing++;
      }
      assert.equal(missing, matrix.missingOf(target), `seed ${seed}`);
      assert.equal(missing > 0, outcome.remaining.includes(target), `seed ${seed}`);
      if (missing === 0) counts.built++;
      else if (givenUp.has(target)) counts.givenUp++;
      else counts.remaining++;
      if (faults === 0) assert.equal(missing, 0, `seed ${seed}: nothing went wrong, and yet it is not built`);
    }
  }
  context.diagnostic(`targets: ${JSON.stringify(counts)}`);
  assert.ok(counts.built > 3 * (counts.givenUp + counts.remaining), JSON.stringify(counts));
});

for (const name of ["success", "warning", "compile_error", "bad_commit"])
  test(`the boss stands where buildman's stood: ${name}`, async () => {
    const lines = readFileSync(join(transcripts, `${name}.jsonl`), "utf8")
      .split("\n")
      .filter(Boolean);
    const sent = lines
      .filter((line) => line.startsWith(">> "))
      .map((line) => JSON.parse(line.slice(3)) as Sent);
    const find = (cmd: string) => sent.find((each) => each.cmd === cmd)!;
    const { settings, toolchains } = find("configure");
    const { board, arch } = find("build_board");
    await using directory = await temporaryDirectory("croft-test-transcript-");
    const player = join(import.meta.dirname, "transcript-player.ts");
    const log = join(directory.path, "received");
    const command = [process.execPath, player, join(transcripts, `${name}.jsonl`), log].map(quote).join(" ");
    const { outcome, results, givenUp } = await runWith(
      [{ ...localHost("buildman"), maxBuilds: 2 }],
      { targets: [{ name: board!, arch: arch! }], commits: find("build_prepare").commits! },
      () => command,
      { settings: settings!, toolchains: toolchains! },
    );
    const received = readFileSync(log, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Sent);
    assert.deepEqual(received.slice(0, sent.length - 1), sent.slice(0, -1));
    const expected = lines.flatMap((line) => {
      const found = /^<< BM> (.*"build_result".*)$/.exec(line);
      return found ? [JSON.parse(found[1]!) as BuildResult] : [];
    });
    assert.deepEqual(results, expected);
    // A commit that the worker does not have shows only as a target without results: tried once more, then given up.
    assert.equal(outcome.remaining.length, name === "bad_commit" ? 1 : 0);
    assert.equal(givenUp.size, outcome.remaining.length);
  });

interface Sent {
  cmd: string;
  settings?: Record<string, unknown>;
  toolchains?: Record<string, string>;
  board?: string;
  arch?: string;
  commits?: string[];
}
