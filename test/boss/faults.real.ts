/** Workers, connections, hosts and the boss itself die, hang, and run out of space while a matrix is built. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { tryLockFile } from "../../os/files/flock.ts";
import { run } from "../../os/run.ts";
import { git, makeSourceHistory, type SourceHistory } from "../fixtures/source-history.ts";
import { patienceMs } from "../fixtures/patience.ts";
import { isRunning } from "../fixtures/processes.ts";
import { until } from "../controller/until.ts";
import { countDone, processesWith } from "./results/results.ts";
import { runBoss, RunningBoss } from "./running-boss.ts";
import { childrenOf, startHosts, type SshHosts } from "./ssh-hosts.ts";

function project(
  hosts: SshHosts,
  targets: number,
  commits: number,
  seconds: number,
  extra: readonly string[] = [],
): SourceHistory {
  const names = Array.from({ length: targets }, (_, at) => `board_${at}`);
  const named = Object.fromEntries([...names, ...extra].map((name) => [name, { seconds }]));
  const steps = Array.from({ length: commits }, () => ({}));
  return { ...makeSourceHistory(join(hosts.directory, "project"), named, steps), targets: names };
}

function buildArguments(hosts: SshHosts, history: SourceHistory, names: string, ...more: string[]): string[] {
  const output = join(hosts.directory, "results");
  const args = ["build", "--json", "--no-local", "--hosts", names, "--recipe", "u-boot", "--output", output];
  return [...args, "--count", String(history.commits.length), ...more, ...history.targets];
}

function workDirectory(hosts: SshHosts, name: string): string {
  return join(hosts.hosts.get(name)!.home, ".cache/croft/work/project");
}

/** The process that holds a host's work directory. */
function workerPid(hosts: SshHosts, name: string): number {
  return Number(readFileSync(join(workDirectory(hosts, name), ".croft-lock"), "utf8"));
}

function assertAllBuiltOnce(boss: RunningBoss, history: SourceHistory, output: string): void {
  const cells = boss.events
    .filter(({ event }) => event === "result")
    .map(({ target, commit }) => `${String(target)} ${String(commit)}`);
  assert.equal(cells.length, new Set(cells).size, "a result was counted twice");
  assert.equal(cells.length, history.targets.length * history.commits.length);
  assert.equal(countDone(output), cells.length);
  assert.equal(boss.summary.totals.missing, 0);
  assert.deepEqual(boss.summary.givenUp, {});
}

/** Waits for the end of processes; the end of a boss that runs meanwhile must not be needed for it. */
async function assertGone(pids: readonly number[], boss?: RunningBoss): Promise<void> {
  const deadline = performance.now() + patienceMs;
  const isOver = () => performance.now() > deadline || (boss !== undefined && boss.child.exitCode !== null);
  while (pids.some(isRunning) && !isOver()) await delay(50);
  assert.deepEqual(pids.filter(isRunning), []);
}

/** A worker, its builds and its guard: all processes with the host's home in their environment. */
function processesOf(hosts: SshHosts, name: string): number[] {
  return processesWith(`HOME=${hosts.hosts.get(name)!.home}\0`);
}

test("work of a worker that is killed is done elsewhere, and its compilers are gone", async () => {
  await using hosts = await startHosts(["alpha", "beta"]);
  const history = project(hosts, 4, 2, 2);
  const args = buildArguments(hosts, history, "alpha,beta", "--max-builds", "2");
  await using boss = new RunningBoss(args, hosts, history.directory);
  await boss.until(({ event, host }) => event === "result" && host === "alpha");
  const pid = workerPid(hosts, "alpha");
  const running = processesOf(hosts, "alpha").filter((each) => each !== pid);
  process.kill(pid, "SIGKILL");
  await boss.until(({ event, host }) => event === "lost" && host === "alpha");
  const own = running.filter((each) => !isSshd(each));
  assert.ok(own.length > 0);
  await assertGone(own, boss);
  const { status, stderr } = await boss.ended;
  assert.equal(status, 0, stderr);
  assertAllBuiltOnce(boss, history, join(hosts.directory, "results"));
  assert.deepEqual(
    boss.summary.lost.map(({ host }) => host),
    ["alpha"],
  );
});

test("a lost connection ends the worker there; the work is done elsewhere or after a restart", async () => {
  await using hosts = await startHosts(["alpha", "beta"]);
  const history = project(hosts, 3, 2, 2);
  const args = buildArguments(hosts, history, "alpha,beta", "--max-builds", "1");
  await using boss = new RunningBoss(args, hosts, history.directory);
  await boss.until(({ event, host }) => event === "given" && host === "alpha");
  const pid = workerPid(hosts, "alpha");
  for (const each of await childrenOf(hosts.hosts.get("alpha")!.sshd.pid!)) process.kill(each, "SIGKILL");
  await assertGone([pid], boss);
  const { status, stderr } = await boss.ended;
  assert.equal(status, 0, stderr);
  assertAllBuiltOnce(boss, history, join(hosts.directory, "results"));
  assert.equal(boss.summary.lost[0]?.host, "alpha");
});

test("a worker that hangs is dropped once, ended, and started again", async () => {
  await using hosts = await startHosts(["alpha", "beta"]);
  const history = project(hosts, 3, 2, 2);
  const args = buildArguments(hosts, history, "alpha,beta", "--max-builds", "1", "--build-timeout", "12");
  await using boss = new RunningBoss(args, hosts, history.directory);
  await boss.until(({ event, host }) => event === "given" && host === "alpha");
  const pid = workerPid(hosts, "alpha");
  process.kill(pid, "SIGSTOP");
  const lost = await boss.until(({ event, host }) => event === "lost" && host === "alpha");
  assert.match(String(lost["reason"]), /no sign of life for 12 s/);
  const { status, stderr } = await boss.ended;
  assert.equal(status, 0, stderr);
  assertAllBuiltOnce(boss, history, join(hosts.directory, "results"));
  const restarted = boss.events.filter(({ event, host }) => event === "started" && host === "alpha").length;
  // It has been ended for its successor; or all was built before there was one.
  if (restarted < 2 && isRunning(pid)) process.kill(pid, "SIGKILL");
  await assertGone([pid]);
});

test("hosts that cannot take part are left out with the reason, and one with a full disk, too", async () => {
  await using hosts = await startHosts(["alpha", "busy", "refusing", "full", "bare"], {
    unreachable: ["gone"],
  });
  const history = project(hosts, 6, 2, 1, ["odd_board", "strange_board"]); // so long that all hosts have started
  await using stack = new AsyncDisposableStack();
  mkdirSync(workDirectory(hosts, "busy"), { recursive: true });
  stack.use(tryLockFile(join(workDirectory(hosts, "busy"), ".croft-lock"))!);
  const refusing = workDirectory(hosts, "refusing");
  mkdirSync(refusing, { recursive: true });
  git(refusing, ["init", "--quiet"]);
  git(refusing, ["config", "receive.maxInputSize", "1"]);
  await smallDisk(stack, workDirectory(hosts, "full"));
  const compilers = join(hosts.hosts.get("alpha")!.home, "bin");
  mkdirSync(compilers);
  const gcc = (await run(["sh", "-c", "command -v gcc"], { timeoutSeconds: 300 })).stdout.trim();
  for (const tool of ["gcc", "size"]) symlinkSync(gcc.replace(/gcc$/, tool), join(compilers, `odd-${tool}`));
  const names = "alpha,busy,refusing,full,bare,gone";
  const args = buildArguments(hosts, history, names, "--toolchain", "odd=~/bin/odd-gcc");
  args.push("odd_board:odd", "strange_board:strange");
  const { boss, status, stderr } = await runBoss(args, hosts, history.directory);
  assert.equal(status, 2, stderr);
  const { absent, lost, totals, withoutToolchain } = boss.summary;
  const reasonFor = (name: string) => [...absent, ...lost].find(({ host }) => host === name)?.reason ?? "";
  assert.match(reasonFor("busy"), /another boss/);
  assert.ok(absent.find(({ host }) => host === "busy")!.busy);
  assert.match(reasonFor("refusing"), /Cannot push .* host refusing: .*pack exceeds maximum allowed size/);
  assert.match(reasonFor("gone"), /Connection refused/);
  assert.match(reasonFor("full"), /[Nn]o space left|disk is full/);
  assert.deepEqual(withoutToolchain, ["strange_board"]);
  assert.deepEqual([totals.failed, totals.missing], [0, 2], stderr);
  const builders = boss.events.filter(({ target, event }) => event === "result" && target === "odd_board");
  assert.deepEqual(new Set(builders.map(({ host }) => host)), new Set(["alpha"]));
});

test("kill -9 of the boss ends all workers and compilers, frees the locks, and the next run goes on", async () => {
  await using hosts = await startHosts(["alpha", "beta"]);
  const history = project(hosts, 4, 2, 3);
  const args = buildArguments(hosts, history, "alpha,beta", "--max-builds", "2");
  await using boss = new RunningBoss(args, hosts, history.directory);
  await boss.until(({ event }) => event === "result", 2);
  // A result counts once it is on the disk, about a second after it has come.
  const results = join(hosts.directory, "results");
  await until(() => Promise.resolve(countDone(results) >= 2), "results that are done");
  for (const name of ["alpha", "beta"])
    await boss.until(({ event, host }) => event === "given" && host === name);
  const there = ["alpha", "beta"].flatMap((name) => processesOf(hosts, name)).filter((pid) => !isSshd(pid));
  assert.ok(there.length >= 4, String(there.length));
  boss.child.kill("SIGKILL");
  await boss.ended;
  await assertGone(there);
  for (const name of ["alpha", "beta"])
    tryLockFile(join(workDirectory(hosts, name), ".croft-lock"))![Symbol.dispose]();
  const before = countDone(results);
  const next = await runBoss(args, hosts, history.directory);
  assert.equal(next.status, 0, next.stderr);
  assert.equal(next.boss.summary.already, before);
  assert.equal(countDone(results), 8);
});

test("Ctrl-C ends the run in order: status 130, nothing runs on, and the next run goes on", async () => {
  await using hosts = await startHosts(["alpha"]);
  const history = project(hosts, 3, 1, 3);
  const args = buildArguments(hosts, history, "alpha", "--max-builds", "3");
  await using boss = new RunningBoss(args, hosts, history.directory);
  await boss.until(({ event }) => event === "given", 3);
  const there = processesOf(hosts, "alpha").filter((pid) => !isSshd(pid));
  boss.child.kill("SIGINT");
  const { status } = await boss.ended;
  assert.equal(status, 130);
  assert.equal(boss.summary.interrupted, true);
  await assertGone(there);
  tryLockFile(join(workDirectory(hosts, "alpha"), ".croft-lock"))![Symbol.dispose]();
  const next = await runBoss(args, hosts, history.directory);
  assert.equal(next.status, 0, next.stderr);
});

test("a run that nobody can do fails, says why and what remains", async () => {
  await using hosts = await startHosts(["alpha"], { unreachable: ["gone"] });
  const history = project(hosts, 2, 1, 0);
  const text = buildArguments(hosts, history, "alpha,gone", "--worker-command", "false").filter(
    (arg) => arg !== "--json",
  );
  const { status, stderr, stdout } = await runBoss(text, hosts, history.directory);
  assert.equal(status, 2);
  assert.match(stderr, /alpha \(FAILED\)/);
  assert.match(stderr, /not built, as no worker is left: board_0, board_1/);
  assert.match(stderr, /Run the same command again/);
  assert.match(stdout, /2 without result/);
});

test("commits that HEAD does not contain are pushed, exactly those asked for", async () => {
  await using hosts = await startHosts(["alpha"]);
  const history = project(hosts, 1, 2, 0);
  git(history.directory, ["checkout", "--quiet", "-b", "topic", history.commits[0]!]);
  writeFileSync(join(history.directory, "README"), "topic\n");
  git(history.directory, ["add", "README"]);
  git(history.directory, ["commit", "--quiet", "-m", "On a branch of its own"]);
  const tip = git(history.directory, ["rev-parse", "HEAD"]).trim();
  git(history.directory, ["checkout", "--quiet", "main"]);
  const args = buildArguments(hosts, { ...history, commits: [tip] }, "alpha", "--branch", "topic");
  const { boss, status, stderr } = await runBoss(args, hosts, history.directory);
  assert.equal(status, 0, stderr);
  assert.deepEqual(
    boss.events.filter(({ event }) => event === "result").map(({ commit }) => commit),
    [tip],
  );
  const there = git(workDirectory(hosts, "alpha"), ["rev-list", "--all"]).trim().split("\n");
  assert.ok(there.includes(tip));
  assert.ok(!there.includes(history.commits[1]!), "more was pushed than asked for");
});

/** Mounts a small file system where a host builds. */
async function smallDisk(stack: AsyncDisposableStack, path: string): Promise<void> {
  mkdirSync(path, { recursive: true });
  chmodSync(path, 0o755);
  await run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", path], { timeoutSeconds: 300 });
  stack.defer(async () => {
    await run(["umount", "--lazy", path], { timeoutSeconds: 300 });
  });
}

function isSshd(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("sshd");
  } catch {
    return false;
  }
}
