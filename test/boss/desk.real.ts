/** The boss at a developer's desk, with croft's own worker there: what the desk has must change nothing. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { git, type HistoryStep } from "../fixtures/source-history.ts";
import { makeDesk, type Desk } from "./desk.ts";
import { countDone } from "./results/results.ts";
import { runBoss } from "./running-boss.ts";
import { perlWorker } from "./perl-worker.ts";

const desk = (targets: readonly string[], steps: readonly HistoryStep[]) =>
  makeDesk(targets, steps, () => ["--json", "--recipe", "u-boot", "--count", String(steps.length)]);

const build = (world: Desk, more: readonly string[] = [], env: NodeJS.ProcessEnv = {}, source?: string) =>
  runBoss(
    [...world.args, ...more],
    { ...world, env: { ...world.env, ...env } },
    source ?? world.history.directory,
  );

const resultsIn = (events: readonly { event: string }[]) =>
  events.filter(({ event }) => event === "result").length;

test("a boss that git itself has started leaves the repository that this is about as it is", async () => {
  await using world = await desk(["a"], [{}]);
  const { directory } = world.history;
  const linked = join(world.directory, "linked");
  git(directory, ["worktree", "add", "--quiet", "-b", "topic", linked]);
  // What an alias, `git rebase --exec` and a hook of a linked worktree pass on.
  const gitDirectory = join(directory, ".git/worktrees/linked");
  const config = readFileSync(join(directory, ".git/config"), "utf8");
  const env = { GIT_DIR: gitDirectory, GIT_INDEX_FILE: join(gitDirectory, "index.lock"), GIT_PREFIX: "" };
  const { status, stderr, boss } = await build(world, [], env, linked);
  assert.equal(status, 0, stderr);
  assert.equal(boss.summary.totals.built, 1);
  assert.equal(readFileSync(join(directory, ".git/config"), "utf8"), config);
  assert.equal(readFileSync(join(gitDirectory, "HEAD"), "utf8"), "ref: refs/heads/topic\n");
  assert.equal(git(linked, ["status", "--porcelain"]), "");
});

test("in batch mode, too, exactly the results that are missing are built", async () => {
  await using world = await desk(["a", "b", "c"], [{}, {}]);
  const first = await build(world, ["--batch", "--build-timeout", "30"]);
  assert.equal(first.status, 0, first.stderr);
  assert.match(readFileSync(join(world.output, "worker-local.log"), "utf8"), />> .*"heartbeat":10\b/);
  assert.equal(resultsIn(first.boss.events), 6);
  const [commit] = readdirSync(world.output).filter((name) => name.startsWith("02_g"));
  rmSync(join(world.output, commit!, "b"), { recursive: true });
  const next = await build(world, ["--batch"]);
  assert.equal(next.status, 0, next.stderr);
  assert.equal(resultsIn(next.boss.events), 1);
  assert.equal(countDone(world.output), 6);
  assert.doesNotMatch(readFileSync(join(world.output, ".croft.log"), "utf8"), /that is there already/);
});

test("compilers and flags of the desk, and its settings of git, do not reach the builds", async () => {
  await using world = await desk(["a"], [{ subject: "net: Add x/y, as ever" }, {}]);
  const settings = {
    GIT_CONFIG_COUNT: "2",
    GIT_CONFIG_KEY_0: "log.showSignature",
    GIT_CONFIG_VALUE_0: "true",
  };
  const signed = { GIT_CONFIG_KEY_1: "push.gpgSign", GIT_CONFIG_VALUE_1: "true" };
  const env = { CC: "/nowhere/cc", CFLAGS: "-fnonsense", LDFLAGS: "-fnonsense", ...settings, ...signed };
  const { status, stderr } = await build(world, [], env);
  assert.equal(status, 0, stderr);
  // U-Boot's buildman looks for these names.
  const names = world.history.commits.map((hash, at) => `0${at + 1}_g${hash}_`);
  assert.deepEqual(
    readdirSync(world.output).filter((name) => /^\d/.test(name)),
    [`${names[0]}net--Add-x-y,-as-eve`, `${names[1]}Step-1--nothing-spec`],
  );
});

test("--werror: warnings give status 1", async () => {
  await using world = await desk(["a", "b"], [{ warns: ["a"] }]);
  const without = await build(world);
  assert.equal(without.status, 0, without.stderr);
  assert.deepEqual(without.boss.summary.totals, { built: 1, warning: 1, failed: 0, missing: 0 });
  assert.equal((await build(world, ["--werror"])).status, 1);
});

test("the report is of commits, or of the current source", async () => {
  await using world = await desk(["a"], [{}]);
  const report = (...more: string[]) =>
    runBoss(["report", "--output", world.output, ...more], world, world.history.directory);
  assert.equal((await build(world)).status, 0);
  assert.match(
    (await report("--current")).stderr,
    /^croft: Cannot report on .*no results of the current source$/m,
  );
  const current = ["build", "--recipe", "u-boot", "--output", world.output, "a"];
  assert.equal((await runBoss(current, world, world.history.directory)).status, 0);
  assert.match((await report()).stdout, /^01: [0-9a-f]{12} Step 0/);
  assert.match((await report("--current")).stdout, /^01: current source\n1 built: 1 ok/);
});

test("a result with 50 MB of messages in one line comes whole", async () => {
  await using world = await desk(["a"], [{}]);
  const script = join(world.directory, "worker.pl");
  const result = '{"resp":"build_result","board":"a","commit_upto":0,"return_code":0,"stderr":"';
  const long = `'${result}' . ("x.c:1: warning\\\\n" x 3_500_000) . '","stdout":"","load_avg":0}'`;
  writeFileSync(script, perlWorker(`say ${long};`));
  const { status, stderr, boss } = await build(world, ["--worker-command", `exec perl ${script}`]);
  assert.equal(status, 0, stderr);
  assert.equal(boss.summary.totals.warning, 1);
  const [commit] = readdirSync(world.output).filter((name) => name.startsWith("01_g"));
  assert.equal(statSync(join(world.output, commit!, "a", "err")).size, 15 * 3_500_000);
});
