/** Which waiting agents are woken for which builds. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Changes } from "../../../controller/builds/noting/changes.ts";
import type { AnonymousOffer } from "../../../controller/builds/offer.ts";
import { WakeUps, type WakeUp } from "../../../controller/idle-agents/wake-ups.ts";
import { silentLog } from "../../../os/log.ts";

const never = new AbortController().signal;
/** A token and a host, by default that of all. */
const agent = (name: string) => {
  const [token = "", host = ""] = name.split(" at ");
  return { token, host };
};
const offer = (...machines: string[]): AnonymousOffer => ({ toolchain: "t", interactive: "false", machines });

/** Queues of builds for a machine each, and agents that wait for them. */
function farm(queued: Record<string, number>, mostWaiting?: number, now?: () => number) {
  const changes = new Changes();
  let looks = 0;
  const queue = {
    waiting: async () => {
      looks++;
      return Object.entries(queued).flatMap(([machine, count]) =>
        count > 0 ? [{ name: machine, target: "x", machine, toolchain: "*", interactive: false }] : [],
      );
    },
    openPlaces: async (name: string, most: number) => Math.min(queued[name] ?? 0, most),
  };
  const wakeUps = new WakeUps(queue, changes, silentLog(), mostWaiting, now);
  /** How each has ended, in the order in which they did. */
  const ended: [name: string, how: WakeUp][] = [];
  return {
    ...{ wakeUps, ended, queued },
    looks: () => looks,
    wait: (name: string, machines: AnonymousOffer, signal = never, waitMs = 3_600_000) =>
      void wakeUps.wait(agent(name), machines, waitMs, signal).then((how) => ended.push([name, how])),
    hearsAll: (complete: boolean) => (changes.complete = complete),
    changed: () => changes.announce("state", 1),
    /** Until nothing is looked at any more. */
    settled: async () => {
      for (let quiet = 0, before = -1; quiet < 20; quiet = before === looks ? quiet + 1 : 0) {
        before = looks;
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    },
    [Symbol.asyncDispose]: () => wakeUps[Symbol.asyncDispose](),
  };
}

test("a build wakes one agent that can take it, the one that has waited longest", async () => {
  await using on = farm({});
  on.wait("first", offer("a"));
  on.wait("other", offer("b"));
  on.wait("second", offer("a"));
  on.queued["a"] = 1;
  on.changed();
  on.changed();
  await on.settled();
  assert.deepEqual(on.ended, [["first", "woken"]]);
  on.wakeUps.came(agent("first")); // and takes it
  on.queued["a"] = 2;
  on.changed();
  on.queued["b"] = 1;
  await on.settled();
  assert.deepEqual(on.ended.slice(1).sort(), [
    ["other", "woken"],
    ["second", "woken"],
  ]);
});

test("as many are woken as there are builds, however many wait and however often they change", async () => {
  await using on = farm({ a: 3 });
  for (let index = 0; index < 1000; index++) on.wait(`w${index}`, offer("a"));
  await on.settled();
  for (let count = 0; count < 5; count++) {
    on.changed();
    await on.settled();
  }
  assert.deepEqual(
    on.ended.map(([name]) => name),
    ["w0", "w1", "w2"],
  );
});

test("the database is not asked for each agent that comes to wait, as long as nothing changes", async () => {
  let now = 0;
  await using on = farm({ other: 1 }, 1000, () => now);
  const looksFor = async (action: () => void) => {
    const before = on.looks();
    action();
    await on.settled();
    return on.looks() - before;
  };
  assert.equal(await looksFor(() => on.wait("first", offer("a"))), 1);
  assert.equal(await looksFor(() => on.wait("second", offer("a"))), 0);
  assert.deepEqual(
    ["a", "other"].map((machine) => on.wakeUps.mayBeFor(offer(machine))),
    [false, true],
  );
  assert.equal(await looksFor(() => on.wait("can take the other", offer("a", "other"))), 1);
  assert.equal(await looksFor(() => on.changed()), 1);
  assert.equal(await looksFor(() => on.wait("third", offer("a"))), 0);
  now = 5001;
  assert.equal(on.wakeUps.mayBeFor(offer("a")), true, "what was found is too old");
  assert.equal(await looksFor(() => on.wait("after 5 s", offer("a"))), 1);
  assert.equal(await looksFor(() => on.hearsAll(false)), 1);
  assert.equal(await looksFor(() => on.wait("that not all is heard of", offer("a"))), 1);
});

test("what was asked of the database before a build came is not believed after it, though nobody waits then", async () => {
  const changes = new Changes();
  const [asked, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<[]>()];
  const queue = {
    waiting: () => {
      asked.resolve();
      return answer.promise;
    },
    openPlaces: async () => 0,
  };
  await using wakeUps = new WakeUps(queue, changes, silentLog());
  const left = new AbortController();
  const waits = wakeUps.wait(agent("t"), offer("a"), 3_600_000, left.signal);
  await asked.promise;
  changes.announce("state", 1);
  left.abort();
  assert.equal(await waits, "nothing");
  answer.resolve([]);
  await turn();
  assert.equal(wakeUps.mayBeFor(offer("a")), true);
});

test("the agent on its way is told from others that offer the same, and ask by themselves", async () => {
  await using on = farm({ a: 1 });
  for (const host of ["one", "other"]) on.wait(`t at ${host}`, offer("a"));
  await on.settled();
  on.wakeUps.came(agent("t at third"));
  on.changed();
  await on.settled();
  assert.deepEqual(on.ended, [["t at one", "woken"]]);
  on.wakeUps.came(agent("t at one"));
  await on.settled();
  assert.deepEqual(on.ended[1], ["t at other", "woken"]);
});

test("when a woken agent does not take the build, the next one is woken", async () => {
  await using on = farm({ a: 1 });
  for (const name of ["declines", "next"]) on.wait(name, offer("a"));
  await on.settled();
  assert.deepEqual(on.ended, [["declines", "woken"]]);
  on.wakeUps.came(agent("declines"));
  await on.settled();
  assert.deepEqual(on.ended[1], ["next", "woken"]);
});

test("a woken agent that gives no sign is not expected for ever", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    await using on = farm({ a: 1 });
    const woken = on.wakeUps.wait(agent("dead"), offer("a"), 3_600_000, never);
    assert.equal(await ticking(woken, 1), "woken");
    const next = on.wakeUps.wait(agent("next"), offer("a"), 3_600_000, never);
    let early = false;
    void next.then(() => (early = true));
    for (let count = 0; count < 50; count++) await turn();
    assert.equal(early, false);
    assert.equal(await ticking(next, 500), "woken");
  } finally {
    mock.timers.reset();
  }
});

/** Lets time go by until something has come. */
async function ticking<T>(wanted: Promise<T>, milliseconds: number): Promise<T> {
  let here = false;
  void wanted.then(() => (here = true));
  while (!here) {
    mock.timers.tick(milliseconds);
    await turn();
  }
  return wanted;
}

test("an agent that came too late for a build is woken at once; nobody waits longer than it wants, or once it is gone", async () => {
  await using on = farm({ a: 1 });
  on.wait("late", offer("a"));
  await on.settled();
  assert.deepEqual(on.ended, [["late", "woken"]]);
  on.wait("short", offer("b"), never, 1);
  const left = new AbortController();
  on.wait("leaves", offer("b"), left.signal);
  left.abort();
  on.wait("has left", offer("b"), left.signal);
  while (on.ended.length < 4) await turn();
  assert.deepEqual(
    on.ended.slice(1).map(([, how]) => how),
    ["nothing", "nothing", "nothing"],
  );
  assert.equal(on.wakeUps.count, 0);
});

test("more than a number cannot wait; the end of the controller ends all waits", async () => {
  const on = farm({}, 2);
  for (const name of ["a", "b", "c"]) on.wait(name, offer(name));
  await turn();
  assert.deepEqual(on.ended, [["c", "full"]]);
  await on[Symbol.asyncDispose]();
  assert.deepEqual(on.ended.slice(1), [
    ["a", "nothing"],
    ["b", "nothing"],
  ]);
  on.wait("late", offer("a"));
  await turn();
  assert.deepEqual(on.ended[3], ["late", "nothing"]);
});

test("while nobody waits, nothing is looked for", async () => {
  await using on = farm({ a: 1 });
  on.changed();
  await on.settled();
  assert.equal(on.looks(), 0);
});
