/** A whole matrix on three hosts, against the same builds one by one. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { makeSourceHistory, type HistoryStep, type SourceHistory } from "../fixtures/source-history.ts";
import { readResults } from "./results/results.ts";
import { runBoss } from "./running-boss.ts";
import { startHosts } from "./ssh-hosts.ts";

/** What is built where. */
interface MatrixSize {
  targets: number;
  steps: readonly HistoryStep[];
  hosts: readonly string[];
  /** Of one host at a time. */
  maxBuilds: number;
  /** How long a build takes at least, so that no host is done before another has begun. */
  seconds?: number;
}

/** Builds targets at commits, and holds what comes against builds one by one. */
export async function checkMatrix(size: MatrixSize): Promise<void> {
  await using hosts = await startHosts(size.hosts);
  const history = makeHistory(join(hosts.directory, "project"), size);
  const [targetCount, commitCount] = [size.targets, size.steps.length];
  const output = join(hosts.directory, "results");
  const args = ["build", "--json", "--no-local", "--hosts", size.hosts.join(), "--recipe", "u-boot"];
  args.push("--count", String(commitCount), "--output", output);
  args.push("--max-builds", String(size.maxBuilds), ...history.targets);
  const first = await runBoss(args, hosts, history.directory);
  assert.equal(first.status, 2, first.stderr);
  const { totals, lost, absent } = first.boss.summary;
  assert.equal(totals.built + totals.warning + totals.failed, targetCount * commitCount);
  assert.deepEqual([totals.missing, lost, absent], [0, [], []]);
  const builders = new Set(
    first.boss.events.filter(({ event }) => event === "result").map(({ host }) => host),
  );
  assert.deepEqual([...builders].sort(), [...size.hosts].sort());
  compareWithOneByOne(history, output, join(hosts.directory, "desk", "reference"));

  const second = await runBoss(args, hosts, history.directory);
  assert.equal(second.boss.summary.already, targetCount * commitCount);
  assert.deepEqual(
    second.boss.events.map(({ event }) => event),
    ["summary"],
  );

  const removed = removeSome(output);
  const third = await runBoss(args, hosts, history.directory);
  const built = third.boss.events.filter(({ event }) => event === "result");
  assert.deepEqual(
    built.map(({ target, commit }) => `${String(target)} ${String(commit)}`).sort(),
    removed.sort(),
  );
  assert.deepEqual(third.boss.summary.totals, totals);
}

function makeHistory(directory: string, { targets, steps, seconds = 0 }: MatrixSize): SourceHistory {
  const named = Array.from({ length: targets }, (_, at) => [`board_${at}`, { seconds }] as const);
  return makeSourceHistory(directory, Object.fromEntries(named), steps);
}

/** Builds each target at each commit in a directory of its own, and compares what that gives with the results. */
function compareWithOneByOne(history: SourceHistory, output: string, directory: string): void {
  const results = readResults(output);
  mkdirSync(directory, { recursive: true });
  const sh = (command: string, cwd = directory) =>
    spawnSync("sh", ["-c", command], { cwd, encoding: "utf8" });
  sh(`git clone -q ${history.directory} tree`);
  const tree = join(directory, "tree");
  for (const [position, hash] of history.commits.entries()) {
    sh(`git checkout -qf ${hash} && git clean -fdxq`, tree);
    const commitName = readdirSync(output).find((name) => name.includes(`_g${hash}_`))!;
    assert.ok(commitName.startsWith(String(position + 1).padStart(2, "0")), commitName);
    for (const target of history.targets) {
      const out = `.croft-out`;
      rmSync(join(tree, out), { recursive: true, force: true });
      sh(`make -s O=${out} ${target}_defconfig`, tree);
      const { status, stderr } = sh(`make -s O=${out}`, tree);
      const at = (name: string) => results.get(`${commitName}/${target}/${name}`);
      assert.equal(at("done"), `${status}\n`, `${target} at ${position}`);
      assert.deepEqual(comparable(at("err") ?? ""), comparable(stderr), `${target} at ${position}`);
      if (status !== 0) {
        assert.equal(at("sizes"), undefined);
        assert.equal(at(".config"), readFileSync(join(tree, out, ".config"), "utf8"));
        continue;
      }
      assert.equal(at(".config"), undefined);
      const [, sizes] = sh(`size ${out}/u-boot`, tree).stdout.split("\n");
      assert.deepEqual(at("sizes")!.trim().split(/\s+/), sizes!.trim().replace(`${out}/`, "").split(/\s+/));
    }
  }
}

/** Of messages of a make with several jobs, the order is chance. */
function comparable(stderr: string): string[] {
  return stderr
    .split("\n")
    .filter((line) => !line.startsWith("make"))
    .sort();
}

/** Removes a few results; `target hash` of each. */
function removeSome(output: string): string[] {
  const all = [...readResults(output).keys()].filter((path) => path.endsWith("/done")).sort();
  return all
    .filter((_, at) => at % 57 === 3)
    .map((path) => {
      const [commit, target] = path.split("/");
      rmSync(join(output, commit!, target!), { recursive: true });
      return `${target} ${/_g([0-9a-f]{40})_/.exec(commit!)![1]}`;
    });
}
