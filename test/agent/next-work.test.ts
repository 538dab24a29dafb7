/** The one moment that the locks' protocol stands on: what is said and armed before the toolchain lock is released. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Backoff } from "../../agent/backoff.ts";
import type { Context } from "../../agent/context.ts";
import { nextWork } from "../../agent/next-work.ts";
import type { ReceivedTask } from "../../agent/polling.ts";
import { makeSettings } from "../../agent/settings.ts";
import { watchSignals } from "../../agent/signals.ts";
import { tryLockFile } from "../../host/flock.ts";
import { BootstrapBackoff } from "../../machines/bootstrap-backoff.ts";
import type { Task } from "../../manifests/task.ts";
import { makeFarm, toolchain, type Farm } from "../machines/farm.ts";

/** What a round under the toolchain lock needs of an agent, with a controller that gives a task for machine `a`. */
function contextOf(farm: Farm): Context {
  const task = { name: "hello", version: "1.0", machine: "a", target: "x86_64-linux-gnu" } as Task;
  const controller = { url: "http://127.0.0.1:1/", priority: 123 };
  const settings = makeSettings(
    {
      ...{ machines: farm.directory, "toolchain-name": toolchain, "toolchain-id": "toolchain-1" },
      ...{ "toolchain-lock": farm.toolchainLock, runtime: farm.directory },
    },
    ["0123=http://127.0.0.1:1/"],
  );
  const ask = (requestTo: (to: typeof controller) => unknown): Promise<ReceivedTask> => {
    assert.ok(requestTo(controller));
    return Promise.resolve({ controller, response: { session: "s", uploadUrls: {}, task }, task });
  };
  const parts = { settings, log: farm.log, storage: farm.storage, workerVersion: "1.2.0", hostName: "host" };
  const silent = { set: () => {}, ready: () => {}, enumerated: () => {} };
  return { ...parts, polling: { ask }, status: silent, metrics: silent } as unknown as Context;
}

test("the lock tells the task, and SIGUSR1 counts, before the toolchain lock is released", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  using signals = watchSignals();
  let armed = 0;
  const observed: typeof signals = {
    ...signals,
    [Symbol.dispose]: () => {},
    armInterruption: () => {
      armed++;
      assert.equal(readFileSync(farm.paths("a").lock, "utf8"), `${process.pid} 0123`);
      assert.equal(tryLockFile(farm.toolchainLock), undefined, "the toolchain lock is held");
      return signals.armInterruption();
    },
  };
  const backoffs = { bootstrap: new BootstrapBackoff(), interruption: new Backoff<string>(600) };
  await using work = await nextWork(contextOf(farm), backoffs, observed);
  assert.ok(work.kind === "task");
  assert.equal(armed, 1);
  using free = tryLockFile(farm.toolchainLock);
  assert.ok(free, "the toolchain lock is free");
  process.emit("SIGUSR1", "SIGUSR1");
  assert.ok(work.interruption.signal.aborted);
});

test("SIGUSR1 counts from arming to disposing; the end of the agent counts always", () => {
  using signals = watchSignals();
  process.emit("SIGUSR1", "SIGUSR1");
  const first = signals.armInterruption();
  assert.equal(first.signal.aborted, false, "what came before means nobody");
  first[Symbol.dispose]();
  process.emit("SIGUSR1", "SIGUSR1");
  assert.equal(first.signal.aborted, false, "nor does what comes after");
  const second = signals.armInterruption();
  first[Symbol.dispose]();
  process.emit("SIGUSR1", "SIGUSR1");
  assert.deepEqual([first.signal.aborted, second.signal.aborted], [false, true]);
  process.emit("SIGTERM", "SIGTERM");
  assert.ok(first.signal.aborted);
});
