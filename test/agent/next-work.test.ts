/**
 * A round under the toolchain lock: the one moment that the locks' protocol stands on (what is said and armed before the
 * lock is released), and what a drain leaves undone.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import fs, { readFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { Backoff } from "../../os/backoff.ts";
import type { Answer } from "../../agent/wire/answers.ts";
import { nextWork, type RoundContext } from "../../agent/next-work.ts";
import { TaskPhases } from "../../agent/status/task-phases.ts";
import { Polling } from "../../agent/asking/polling.ts";
import { Spool } from "../../agent/task-state/spool.ts";
import { makeSettings } from "./settings/make-settings.ts";
import { watchSignals, type SignalWatch } from "../../agent/signals.ts";
import { tryLockFile } from "../../os/files/flock.ts";
import { BootstrapWaits } from "../../machines/enumeration/bootstrap-waits.ts";
import { BootstrapBackoff } from "../../machines/enumeration/bootstrap-backoff.ts";
import { parseTask } from "../../manifests/task.ts";
import { makeFarm, toolchain, type Farm } from "../machines/farm.ts";

const taskText =
  "name: hello\nversion: 1.0\nrepository-url: https://example.org/hello.git#v1\nmachine: a\ntarget: x86_64-linux-gnu\n";
const controller = { url: "http://127.0.0.1:1/", priority: 123 };

/** A controller that gives a task for machine `a`. */
const ask: RoundContext["polling"]["ask"] = (requestTo) => {
  assert.ok(requestTo(controller));
  const task = parseTask(Buffer.from(`: 1\n${taskText}`));
  return Promise.resolve({ controller, response: { session: "s", uploadUrls: {}, task }, task });
};

/** What a round under the toolchain lock needs of an agent. */
async function contextOf(farm: Farm, changes: Partial<RoundContext> = {}): Promise<RoundContext> {
  const at = (name: string) => join(farm.directory, "..", name);
  const settings = makeSettings(
    {
      ...{ machines: farm.directory, "toolchain-name": toolchain, "toolchain-id": "toolchain-1" },
      ...{ "toolchain-lock": farm.toolchainLock, runtime: farm.directory, "no-warm": true },
    },
    ["0123=http://127.0.0.1:1/"],
  );
  return {
    ...{ settings, log: farm.log, storage: farm.storage, workerVersion: "1.2.0", hostName: "host" },
    ...{ signer: undefined, spool: await Spool.open(at("spool")) },
    directories: { get: at("get"), put: at("put") },
    polling: { ask },
    status: { set: () => {}, ready: () => {} },
    metrics: { enumerated: () => {} },
    signs: { show: () => undefined },
    phases: new TaskPhases(() => {}),
    isWantedAhead: () => Promise.resolve(false),
    ...changes,
  };
}

/** Sends a signal to the handlers of a watch only: the test runner has its own. */
function signalTo(
  watch: () => SignalWatch,
  name: NodeJS.Signals,
): { signals: SignalWatch; send: () => void } {
  const before = process.listeners(name);
  const signals = watch();
  const handlers = process.listeners(name).filter((handler) => !before.includes(handler));
  return { signals, send: () => handlers.forEach((handler) => handler(name)) };
}

const newBackoffs = () => ({
  bootstrap: new BootstrapBackoff(),
  waits: new BootstrapWaits(),
  interruption: new Backoff<string>(600),
});

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
  await using work = await nextWork(await contextOf(farm), newBackoffs(), observed);
  assert.ok(work.kind === "task");
  assert.equal(armed, 1);
  using free = tryLockFile(farm.toolchainLock);
  assert.ok(free, "the toolchain lock is free");
  process.emit("SIGUSR1", "SIGUSR1");
  assert.ok(work.interruption.signal.aborted);
});

test("a round says whether there is a refusal to be sent: only then does an idle agent look into its spool again", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  using signals = watchSignals();
  const refusing: RoundContext["polling"]["ask"] = async (requestTo, signal, refusals) => {
    await refusals!.answer!((await ask(requestTo, signal, refusals))!, {
      reason: "for a reason",
      goesElsewhere: true,
    });
    return undefined;
  };
  for (const [refused, polling] of [
    [false, { ask: () => Promise.resolve(undefined) }],
    [true, { ask: refusing }],
  ] as const) {
    const context = await contextOf(farm, { polling });
    await using work = await nextWork(context, newBackoffs(), signals);
    assert.ok(work.kind === "nothing");
    assert.equal(work.refused, refused);
    assert.equal((await context.spool.entries()).length, refused ? 1 : 0);
  }
});

test("an agent without a task learns that another one has begun with one on its machines", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  using signals = watchSignals();
  const idle = { ask: () => Promise.resolve(undefined) };
  const round = async (polling: RoundContext["polling"]) =>
    await nextWork(await contextOf(farm, { polling }), newBackoffs(), signals);
  await using waiting = await round(idle);
  assert.ok(waiting.kind === "nothing");
  await using another = await round(idle);
  assert.ok(another.kind === "nothing");
  assert.equal(waiting.changed.aborted, false, "it has but looked");
  const changed = once(waiting.changed, "abort");
  await using work = await round({ ask });
  assert.equal(work.kind, "task");
  await changed;
});

test("SIGUSR1 counts from arming to disposing; the end of the agent counts always", () => {
  const { signals, send } = signalTo(watchSignals, "SIGTERM");
  using _signals = signals;
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
  send();
  assert.ok(first.signal.aborted);
});

/** An agent's signals whose SIGUSR2 comes when it is called for: a real one would be the test runner's, too. */
function signalsToDrain(): { signals: SignalWatch; drain: () => void } {
  const drain = new AbortController();
  return { signals: { ...watchSignals(), drain: drain.signal }, drain: () => drain.abort() };
}

test("SIGUSR2 while the machines are looked through: no bootstrap is begun, and no controller asked", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  for (const bootstrapped of [false, true]) {
    const { signals, drain } = signalsToDrain();
    using _signals = signals;
    if (bootstrapped) await farm.bootstrapAll();
    const context = await contextOf(farm, {
      metrics: { enumerated: drain },
      polling: { ask: () => assert.fail("a controller is asked") },
    });
    await assert.rejects(
      nextWork(context, newBackoffs(), signals),
      (error) => error === signals.drain.reason,
    );
    const names = bootstrapped ? ["a-1", "a-1.1", "a-gcc", "a-gcc.lock"] : ["a-1", "a-1.1", "a-gcc.lock"];
    assert.deepEqual(await farm.names("a"), names);
    using toolchainLock = tryLockFile(farm.toolchainLock);
    using machineLock = tryLockFile(farm.paths("a").lock);
    assert.ok(toolchainLock && machineLock, "both are free");
  }
});

test("SIGUSR2 while a controller is asked: no other one is, and the task that it gives is performed", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  const none = ": 1\nsession:\n";
  const one = `: 1\nsession: s\nresult-url: http://127.0.0.1:1/\n:\n${taskText}`;
  for (const body of [none, one]) {
    const { signals, drain } = signalsToDrain();
    using _signals = signals;
    const asked: string[] = [];
    const postManifest = (url: string): Promise<Answer> => {
      asked.push(url);
      drain();
      return Promise.resolve({ status: 200, headers: {}, body: Buffer.from(body) });
    };
    const controllers = ["http://127.0.0.1:1/", "http://127.0.0.1:2/"].map((url) => ({ url, priority: 1 }));
    const parts = { controllers, client: { postManifest }, signer: undefined, log: farm.log };
    const limits = { requestTimeoutSeconds: 1, requestRetries: 0 };
    const context = await contextOf(farm, { polling: new Polling({ ...parts, ...limits }) });
    const next = nextWork(context, newBackoffs(), signals);
    if (body === none) await assert.rejects(next, (error) => error === signals.drain.reason);
    else {
      await using work = await next;
      assert.equal(work.kind, "task");
    }
    assert.equal(asked.length, 1);
  }
});

test("a machine whose lock cannot be written is given up, and free again: its task is abandoned with the reason", async (t) => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  using signals = watchSignals();
  const full = Object.assign(new Error("no space left on device"), { code: "ENOSPC", syscall: "ftruncate" });
  const failing: typeof ask = async (...request) => {
    const received = await ask(...request);
    t.mock.method(fs, "ftruncateSync", () => {
      throw full;
    });
    syncBuiltinESMExports();
    return received;
  };
  const context = await contextOf(farm, { polling: { ask: failing } });
  try {
    await using work = await nextWork(context, newBackoffs(), signals);
    assert.ok(work.kind === "abandoned");
    assert.equal(work.abandoned.status, "abort");
    assert.match(work.abandoned.reason, /^Cannot write machine lock '.*a-gcc\.lock': /);
    using free = tryLockFile(farm.paths("a").lock);
    assert.ok(free, "the machine's lock is free");
  } finally {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  }
});
