/** The boss with this machine alone: what it says and does when nobody can go on, and what it builds again. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Host } from "../../boss/hosts/hosts.ts";
import { checkoutScript, execScript, killScript, prepareScript } from "../../boss/hosts/scripts.ts";
import { HostConnection } from "../../boss/hosts/connection.ts";
import { readToolchains, toolchainScript } from "../../boss/hosts/toolchains.ts";
import { tryLockFile } from "../../os/files/flock.ts";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { isRunning } from "../fixtures/processes.ts";
import { git, makeSourceHistory } from "../fixtures/source-history.ts";
import { makeDesk } from "./desk.ts";
import { countDone } from "./results/results.ts";
import { runBoss, RunningBoss } from "./running-boss.ts";

const ssh = { controlDirectory: "/nonexistent", connectTimeoutSeconds: 5 };
const here = (workDirectory: string): Host => ({ name: "local", destination: undefined, workDirectory });

/** Builds nothing; where there is a file `dies` or `waits`, it does so when it gets its second target. */
const workerScript = `
say() { echo "BM> $1"; }
say '{"resp":"ready","nthreads":1,"slots":1}'
count=0
while read -r line; do
  case $line in
    *'"configure"'*) say '{"resp":"configure_done"}' ;;
    *'"build_prepare"'*) say '{"resp":"build_prepare_done"}' ;;
    *'"build_board"'*)
      board=\${line#*'"board":"'}; board=\${board%%'"'*}; count=$((count + 1))
      [ $count -lt 2 ] || [ ! -e "$1/dies" ] || { echo "out of luck" >&2; exit 1; }
      [ $count -lt 2 ] || [ ! -e "$1/waits" ] || continue
      say '{"resp":"build_result","board":"'"$board"'","commit_upto":0,"return_code":0,"stderr":"","stdout":"","load_avg":0}' ;;
    *'"build_done"'*) [ -e "$1/waits" ] || say '{"resp":"build_done","exceptions":0}' ;;
    *'"quit"'*) say '{"resp":"quit_ack"}'; exit 0 ;;
  esac
done
`;

/** A project, and a worker that can be told to fail. */
const desk = () =>
  makeDesk(["a", "b", "c", "d"], [{}], (directory) => {
    const script = join(directory, "worker.sh");
    writeFileSync(script, workerScript);
    return ["--max-builds", "1", "--worker-command", `true && exec sh ${script} ${directory}`];
  });

const countRuns = (path: string, mark: RegExp) => [...readFileSync(path, "utf8").matchAll(mark)].length;

test("when all workers die the run fails, says what remains, and the same command goes on from there", async () => {
  await using world = await desk();
  writeFileSync(join(world.directory, "dies"), "");
  const first = await runBoss(world.args, world, world.history.directory);
  assert.equal(first.status, 2, first.stderr);
  assert.match(first.stderr, /worker on local was lost: .*out of luck/);
  assert.match(first.stderr, /^not built, as no worker is left: \w, \w$/m);
  assert.match(first.stdout, /^2 built: 2 ok.*\n2 without result$/m);
  rmSync(join(world.directory, "dies"));
  const next = await runBoss([...world.args, "--json"], world, world.history.directory);
  assert.equal(next.status, 0, next.stderr);
  assert.equal(next.boss.summary.already, 2);
  assert.equal(countDone(world.output), 4);
  // Logs are kept run by run, with the time.
  assert.equal(countRuns(join(world.output, ".croft.log"), /^\d{4}-\d\d-\d\dT\S+Z START /gm), 2);
  assert.equal(countRuns(join(world.output, "worker-local.log"), /!! run of \d{4}-\d\d-\d\dT/g), 3);
});

test("results of the current source count only while it is the same", async () => {
  await using world = await desk();
  const { directory } = world.history;
  const args = [...world.args, "--json", "--uncommitted"];
  const builtBy = async (more: string[] = []) => {
    const { boss, status, stderr } = await runBoss([...args, ...more], world, directory);
    assert.equal(status, 0, stderr);
    return boss.events.filter(({ event }) => event === "result").length;
  };
  assert.equal(await builtBy(), 4);
  assert.equal(await builtBy(), 0);
  writeFileSync(join(directory, "new.c"), "int x;\n");
  assert.equal(await builtBy(), 4);
  git(directory, ["add", "new.c"]);
  git(directory, ["commit", "--quiet", "--message=The same files"]);
  assert.equal(await builtBy(), 0);
});

test("a forced run that is interrupted leaves no old results among the new", async () => {
  await using world = await desk();
  const { directory } = world.history;
  assert.equal((await runBoss(world.args, world, directory)).status, 0);
  const lock = join(world.directory, "desk/.cache/croft/work/local-project/.croft-lock");
  const busy = tryLockFile(lock)!;
  const none = await runBoss([...world.args, "--force"], world, directory);
  busy[Symbol.dispose]();
  assert.equal(none.status, 2, "nothing was built anew");
  assert.match(none.stderr, /local was busy: .*another boss/);
  assert.equal(countDone(world.output), 4, "nobody could have built them again");
  writeFileSync(join(world.directory, "waits"), "");
  await using boss = new RunningBoss([...world.args, "--force", "--json"], world, directory);
  await boss.until(({ event }) => event === "given", 2);
  boss.child.kill("SIGTERM");
  assert.equal((await boss.ended).status, 130);
  assert.deepEqual(boss.summary.totals, { built: 1, warning: 0, failed: 0, missing: 3 });
  assert.equal(countDone(world.output), 1);
});

test("a full disk here ends the run in one line; the next goes on when there is room", async () => {
  await using world = await desk();
  mkdirSync(world.output);
  const mount = (options: string) =>
    run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", world.output], { timeoutSeconds: 300 });
  await mount("size=24k");
  try {
    const full = await runBoss(world.args, world, world.history.directory);
    assert.equal(full.status, 1, full.stderr);
    assert.match(full.stderr, /^croft: Cannot write .*: no space left on device$/im);
    assert.doesNotMatch(full.stderr, /^ +at /m);
    const before = countDone(world.output);
    assert.ok(before < 4);
    await mount("remount,size=4m");
    const next = await runBoss([...world.args, "--json"], world, world.history.directory);
    assert.equal(next.status, 0, next.stderr);
    assert.ok(next.boss.summary.already <= before);
    assert.equal(countDone(world.output), 4);
  } finally {
    await run(["umount", "--lazy", world.output], { timeoutSeconds: 300 });
  }
});

test("all hosts busy, or none at all: the reason is told, status 2", async () => {
  await using world = await desk();
  const work = join(world.directory, "desk/.cache/croft/work/local-project");
  mkdirSync(work, { recursive: true });
  using _busy = tryLockFile(join(work, ".croft-lock"))!;
  const busy = await runBoss(world.args, world, world.history.directory);
  assert.equal(busy.status, 2);
  assert.match(busy.stderr, /host local was busy: .*another boss is using/);
  assert.match(busy.stderr, /not built, as no worker is left: a, b, c, d/);
  const none = await runBoss([...world.args, "--no-local"], world, world.history.directory);
  assert.equal(none.status, 2);
  assert.match(none.stderr, /Cannot build: there are no hosts/);
});

test("what killed git processes have left on a host does not stand in the way of the next run", async () => {
  await using directory = await temporaryDirectory("croft-test-local-");
  const source = join(directory.path, "source");
  const work = join(directory.path, "it's a $(work) dir");
  makeSourceHistory(source, { a: {} }, [{}]);
  for (let time = 0; time < 2; time++) {
    await using connection = new HostConnection(here(work), ssh);
    const [answer] = await connection.evaluate(prepareScript(work), 30);
    assert.match(answer!, /^prepared \d+ \d+ [\d.]+ .*\$\(work\) dir$/);
    git(source, ["push", "--quiet", "--force", work, "HEAD:refs/heads/work"]);
    assert.deepEqual(await connection.evaluate(checkoutScript(false), 30), ["done"]);
    git(work, ["worktree", "add", "--force", "--detach", join(directory.path, `tree-${time}`)]);
    for (const left of ["index", "HEAD", "config", "packed-refs", "refs/heads/work", "worktrees/tree-0/HEAD"])
      writeFileSync(join(work, ".git", `${left}.lock`), "");
  }
  assert.equal(git(work, ["status", "--porcelain"]), "", "the boss's own files are no part of the source");
});

test("kill ends the worker that has the lock, and no process that only has its number", async () => {
  await using directory = await temporaryDirectory("croft-test-local-");
  const kill = async () => {
    await using connection = new HostConnection(here(directory.path), ssh);
    return (await connection.evaluate(killScript(directory.path), 30))[0]!;
  };
  assert.equal(await kill(), "none");
  await using worker = new HostConnection(here(directory.path), ssh);
  await worker.evaluate(prepareScript(directory.path), 30);
  assert.match(await kill(), /^killed \d+$/);
  await worker.closed;
  using lock = tryLockFile(join(directory.path, ".croft-lock"))!;
  const innocent = spawn("sleep", ["60"]);
  try {
    writeFileSync(lock.path, `${innocent.pid}\n`);
    assert.match(await kill(), /^failed the lock is held, but not by process \d+/);
    assert.ok(isRunning(innocent.pid!));
  } finally {
    innocent.kill("SIGKILL");
  }
});

test("architectures with any characters are looked for as they are named", async () => {
  await using connection = new HostConnection(here("/"), ssh);
  const names = [`a"b`, "$(exit)", "it's"];
  const script = toolchainScript(Object.fromEntries(names.map((name) => [name, ["sh"]])));
  assert.deepEqual(Object.keys(readToolchains(await connection.evaluate(script, 30))), names);
});

test("a worker that ends, or is ended, is gone though something that it started holds its output open", async () => {
  await using directory = await temporaryDirectory("croft-test-local-");
  const ready = join(directory.path, "pid");
  await using connection = new HostConnection(here(directory.path), ssh);
  connection.becomeWorker(
    execScript(
      `sh -c 'trap "" TERM; setsid sh -c "echo \\$\\$ > ${ready}; echo BM\\> x; exec sleep 60" & exec sleep 60'`,
    ),
    { message() {}, alive() {}, broken: () => started.resolve(), complaint() {} },
  );
  const started = Promise.withResolvers<void>();
  await started.promise;
  const holder = Number(readFileSync(ready, "utf8"));
  try {
    await connection.drop();
    assert.match(await Promise.race([connection.closed, Promise.resolve("open")]), /^the connection /);
    assert.ok(isRunning(holder), "it has not ended by itself meanwhile");
  } finally {
    if (existsSync(`/proc/${holder}`)) process.kill(holder, "SIGKILL");
  }
});
