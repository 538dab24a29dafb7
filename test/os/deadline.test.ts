import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { Deadline } from "../../os/deadline.ts";

const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;

test("a deadline passes when its time is over, and not before what it is raced against", async () => {
  using soon = new Deadline(0.001);
  assert.equal(await soon.passed, "late");
  using far = new Deadline(1e9); // more than a timer can count
  assert.equal(
    await Promise.race([new Promise((resolve) => setTimeout(resolve, 5, "done")), far.passed]),
    "done",
  );
});

test("a deadline passes when its signal is aborted, before or meanwhile", async () => {
  const abort = new AbortController();
  using before = new Deadline(60, AbortSignal.abort());
  using meanwhile = new Deadline(60, abort.signal);
  abort.abort();
  assert.deepEqual(await Promise.all([before.passed, meanwhile.passed]), ["late", "late"]);
});

test("a deadline leaves neither timer nor listener", () => {
  const { signal } = new AbortController();
  const before = timers();
  {
    using _deadline = new Deadline(60, signal);
    assert.equal(timers(), before + 1);
  }
  assert.equal(timers(), before);
  assert.equal(getEventListeners(signal, "abort").length, 0);
});
