/** The interrupter's side of the protocol, against processes that hold machines by the real locks. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { interruptTasks, loadOf, lookAgain, type HeldTask } from "../../../agent/asking/interrupter.ts";
import { Failure } from "../../../os/failure.ts";
import { silentLog } from "../../../os/log.ts";
import { run } from "../../../os/run.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { Enumeration } from "../../../machines/enumeration/enumeration.ts";
import { machinePaths } from "../../../machines/layout.ts";
import { MachineLock, tryMachineLock } from "../../../machines/locks.ts";
import { takeToolchainLock, type ToolchainLock } from "../../../machines/toolchain-lock.ts";
import { isRunning } from "../../fixtures/processes.ts";
import { holdTask, type TaskHolder } from "./task-holder.ts";

const log = silentLog();
const never = new AbortController().signal;

/** Machines with a task each, by name and priority, and the toolchain lock held by this process. */
async function host(tasks: Record<string, number>) {
  const stack = new AsyncDisposableStack();
  const { path: machines } = stack.use(await temporaryDirectory("croft-test-interruption-"));
  const toolchainLock: ToolchainLock = stack.use(await takeToolchainLock(join(machines, "lock"), log));
  const holders: Record<string, TaskHolder> = {};
  for (const [name, priority] of Object.entries(tasks)) {
    const paths = machinePaths(machines, "v", name, "gcc");
    await mkdir(paths.directory, { recursive: true });
    holders[name] = stack.use(await holdTask(paths, machines, priority));
  }
  const enumeration = new Enumeration();
  for (const name of Object.keys(tasks)) {
    const paths = machinePaths(machines, "v", name, "gcc");
    const holder = tryMachineLock(toolchainLock, paths);
    assert.ok(!(holder instanceof MachineLock));
    enumeration.add({ state: "held", paths, holder, manifest: undefined });
  }
  const { running } = loadOf(enumeration, 0);
  const task = (name: string): HeldTask => running.find(({ machine }) => machine.paths.name === name)!;
  return Object.assign(stack, { toolchainLock, enumeration, running, task, holders, machines });
}

/** True if another process can lock the file. */
async function isFree(path: string): Promise<boolean> {
  const { status } = await run(["flock", "--nonblock", path, "true"], { timeoutSeconds: 300, accept: [1] });
  return status === 0;
}

test("a task that is interrupted gives its machine, and the lock is the interrupter's", async () => {
  await using on = await host({ a: 12 });
  const task = on.task("a");
  assert.deepEqual([task.pid, task.priority], [on.holders["a"]!.pid, 12]);
  assert.deepEqual(loadOf(on.enumeration, 7), { instanceMax: 7, held: 1, running: [task] });
  const interrupted = interruptTasks(on.toolchainLock, [task], task, { log, signal: never });
  await on.holders["a"]!.until("SIGUSR1");
  await on.holders["a"]!.tell("release");
  using lock = await interrupted;
  assert.ok(lock);
  assert.equal(await isFree(task.machine.paths.lock), false);
  lock.write(on.toolchainLock, 1000);
  assert.equal(await readFile(task.machine.paths.lock, "utf8"), `${process.pid} 1000`);
});

test("all tasks are told at once; only the lock of the machine that is needed is kept", async () => {
  await using on = await host({ a: 1, b: 2, c: 3 });
  const interrupted = interruptTasks(on.toolchainLock, on.running, on.task("b"), { log, signal: never });
  for (const holder of Object.values(on.holders)) await holder.until("SIGUSR1");
  for (const holder of Object.values(on.holders)) await holder.tell("release");
  using _lock = await interrupted;
  const free = ["a", "b", "c"].map((name) => isFree(on.task(name).machine.paths.lock));
  assert.deepEqual(await Promise.all(free), [true, false, true]);
});

/** Waits for an interruption that fails; says why. */
async function reasonOf(interrupted: Promise<unknown>): Promise<string> {
  const error = await interrupted.then(
    () => assert.fail("it did not fail"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof Failure, String(error));
  return error.message;
}

test("a task that does not give way in time is given up, and what was had is released", async () => {
  await using on = await host({ a: 1, b: 2 });
  const limits = { log, signal: never, seconds: 1 };
  const interrupted = interruptTasks(on.toolchainLock, on.running, on.task("a"), limits);
  await on.holders["a"]!.tell("release");
  assert.equal(
    await reasonOf(interrupted),
    "Cannot interrupt the task on machine 'b': it has not given way within 1 s",
  );
  assert.ok(await isFree(on.task("a").machine.paths.lock));
  assert.deepEqual(on.holders["b"]!.said.slice(0, 2), ["held", "SIGUSR1"], "told once");
});

test("a task that is suspended meanwhile is given up at once", async () => {
  await using on = await host({ a: 1 });
  const interrupted = interruptTasks(on.toolchainLock, on.running, on.task("a"), { log, signal: never });
  await on.holders["a"]!.until("SIGUSR1");
  await on.holders["a"]!.tell("suspend");
  assert.match(await reasonOf(interrupted), /machine 'a': it was suspended$/);
});

test("a holder that dies while it is waited for leaves its machine", async () => {
  await using on = await host({ a: 1 });
  const interrupted = interruptTasks(on.toolchainLock, on.running, on.task("a"), { log, signal: never });
  await on.holders["a"]!.until("SIGUSR1");
  await on.holders["a"]!.kill();
  using lock = await interrupted;
  assert.ok(lock);
  assert.equal(await readFile(lock.paths.lock, "utf8"), "", "its line is gone");
});

test("a task that has ended before it is interrupted is not signalled, and its machine taken", async () => {
  await using on = await host({ a: 1, b: 2 });
  await on.holders["a"]!.tell("release");
  await on.holders["b"]!.tell("suspend");
  using now = lookAgain(on.toolchainLock, on.enumeration, 2);
  assert.deepEqual([now.load.held, now.load.running], [1, []], "the suspended one is held, and not running");
  using lock = await interruptTasks(on.toolchainLock, [], undefined, { log, signal: never });
  assert.equal(lock, undefined);
  using taken = now.take(on.task("a").machine);
  assert.ok(taken);
  assert.equal(now.take(on.task("a").machine), undefined);
  assert.deepEqual(on.holders["a"]!.said, ["held", "release done"]);
});

test("machines that have become free and are not taken are released", async () => {
  await using on = await host({ a: 1 });
  await on.holders["a"]!.tell("release");
  const now = lookAgain(on.toolchainLock, on.enumeration, 2);
  assert.equal(await isFree(on.task("a").machine.paths.lock), false);
  now[Symbol.dispose]();
  assert.ok(await isFree(on.task("a").machine.paths.lock));
});

test("a process that has the pid of a holder that is gone gets no signal", async () => {
  await using on = await host({ a: 1 });
  const task = on.task("a");
  await on.holders["a"]!.kill();
  // SIGUSR1 would end it.
  const innocent = spawn("sleep", ["60"], { stdio: "ignore" });
  await once(innocent, "spawn");
  const holder = spawn("flock", [task.machine.paths.lock, "sh", "-c", "echo held; exec sleep 60"], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  try {
    await once(holder.stdout, "data");
    await writeFile(task.machine.paths.lock, `${innocent.pid} 0001`);
    assert.deepEqual(tryMachineLock(on.toolchainLock, task.machine.paths), {}, "its holder is unknown");
    const limits = { log, signal: never, seconds: 1 };
    const reused = { ...task, pid: innocent.pid! };
    const reason = await reasonOf(interruptTasks(on.toolchainLock, [reused], reused, limits));
    assert.match(reason, /it has not given way within 1 s/);
    assert.ok(isRunning(innocent.pid!));
  } finally {
    process.kill(-holder.pid!, "SIGKILL");
    innocent.kill("SIGKILL");
    await Promise.all([
      once(holder, "close"),
      innocent.exitCode === null ? once(innocent, "exit") : undefined,
    ]);
  }
});

test("a machine that flock(1) of a shell has got first is waited for, in vain or not", async () => {
  await using on = await host({ a: 1 });
  const task = on.task("a");
  const { lock: path } = task.machine.paths;
  const waiting = spawn("flock", [path, "sh", "-c", "echo held; read end"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const closed = once(waiting, "close");
  const held = once(waiting.stdout, "data");
  const interrupted = interruptTasks(on.toolchainLock, [task], task, { log, signal: never });
  await on.holders["a"]!.until("SIGUSR1");
  await on.holders["a"]!.tell("release");
  await Promise.race([held, interrupted]); // one of the two has it
  waiting.stdin.end("\n");
  using lock = await interrupted;
  assert.ok(lock);
  lock[Symbol.dispose]();
  await closed;
});

test("a machine that is removed while it is waited for is a failure; of others nothing more is wanted", async () => {
  for (const needed of [true, false]) {
    await using on = await host({ a: 1 });
    const task = on.task("a");
    const limits = { log, signal: never };
    const interrupted = interruptTasks(on.toolchainLock, [task], needed ? task : undefined, limits);
    await on.holders["a"]!.until("SIGUSR1");
    await rename(task.machine.paths.directory, join(on.machines, "v", ".a.xxxxxx.removed"));
    if (needed) assert.match(await reasonOf(interrupted), /machine 'a': the machine was removed$/);
    else assert.equal(await interrupted, undefined);
    await rm(join(on.machines, "v", ".a.xxxxxx.removed"), { recursive: true });
  }
});

test("an interrupter that is asked to end stops waiting, and holds nothing", async () => {
  await using on = await host({ a: 1, b: 2 });
  const stop = new AbortController();
  const interrupted = interruptTasks(on.toolchainLock, on.running, on.task("a"), {
    log,
    signal: stop.signal,
  });
  await on.holders["b"]!.until("SIGUSR1");
  await on.holders["a"]!.tell("release");
  stop.abort(new Error("asked to end"));
  await assert.rejects(interrupted, /asked to end/);
  assert.ok(await isFree(on.task("a").machine.paths.lock));
  assert.equal(await isFree(on.task("b").machine.paths.lock), false);
});
