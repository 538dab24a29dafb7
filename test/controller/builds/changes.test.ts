/** Whoever follows builds hears of each change once, however slow he is, and leaves nothing behind. */
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { mock, test } from "node:test";
import { Changes, ChangeWaiter } from "../../../controller/builds/noting/changes.ts";

const never = new AbortController().signal;

test("changes are noted until they are taken, each build once, of the kinds and the build that are asked for", async () => {
  const changes = new Changes();
  using all = new ChangeWaiter(changes, ["state", "log"]);
  using states = new ChangeWaiter(changes, ["state"]);
  using one = new ChangeWaiter(changes, ["state", "log"], new Set([2]));
  for (const [kind, build] of [
    ["state", 1],
    ["log", 2],
    ["state", 1],
    ["log", 3],
  ] as const)
    changes.announce(kind, build);
  assert.deepEqual([all.take(), states.take(), one.take()], [[1, 2, 3], [1], [2]]);
  assert.deepEqual([all.take(), states.take(), one.take()], [[], [], []]);
  changes.announce("state", 2);
  assert.equal(await one.wait(1e6, never), true, "what came before is not waited for");
  all[Symbol.dispose]();
  changes.announce("state", 4);
  assert.deepEqual(all.take(), [2], "it has ended");
});

test("a wait ends with the next change, with the time or with the signal, and leaves nothing at the signal", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const changes = new Changes();
    using waiter = new ChangeWaiter(changes, ["state"]);
    const stop = new AbortController();
    const waiting = () => {
      const wait = waiter.wait(1000, stop.signal);
      assert.equal(getEventListeners(stop.signal, "abort").length, 1);
      return wait;
    };
    const changed = waiting();
    changes.announce("state", 1);
    assert.equal(await changed, true);
    assert.equal(getEventListeners(stop.signal, "abort").length, 0);
    assert.deepEqual(waiter.take(), [1]);
    const late = waiting();
    mock.timers.tick(1000);
    assert.equal(await late, false);
    assert.equal(getEventListeners(stop.signal, "abort").length, 0);
    const aborted = waiting();
    stop.abort();
    assert.equal(await aborted, false);
    assert.equal(await waiter.wait(1e6, stop.signal), false, "it was aborted before");
  } finally {
    mock.timers.reset();
  }
});
