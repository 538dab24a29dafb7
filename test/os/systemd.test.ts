import assert from "node:assert/strict";
import { test } from "node:test";
import { feedWatchdog, watchdogMilliseconds } from "../../os/service/systemd.ts";
import { silentLog } from "../../os/log.ts";

test("the watchdog's time is that of the environment, if this process is meant", () => {
  assert.equal(watchdogMilliseconds({}, 7), undefined);
  assert.equal(watchdogMilliseconds({ WATCHDOG_USEC: "60000000" }, 7), 60_000);
  assert.equal(watchdogMilliseconds({ WATCHDOG_USEC: "60000000", WATCHDOG_PID: "7" }, 7), 60_000);
  assert.equal(watchdogMilliseconds({ WATCHDOG_USEC: "60000000", WATCHDOG_PID: "8" }, 7), undefined);
  for (const nonsense of ["", "0", "-1", "soon"])
    assert.equal(watchdogMilliseconds({ WATCHDOG_USEC: nonsense }, 7), undefined);
});

test("the watchdog is pinged at once and twice in its time, until disposed of; a failure is told once", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const sent: string[] = [];
  const log = silentLog();
  const warn = t.mock.method(log, "warn", () => {});
  let fails = false;
  const send = async (state: string) => {
    sent.push(state);
    if (fails) throw new Error("no");
  };
  const settled = async () => {
    for (let turns = 0; turns < 5; turns++) await Promise.resolve();
  };
  const feeding = feedWatchdog(log, { WATCHDOG_USEC: "10000000" }, send);
  assert.deepEqual(sent, ["WATCHDOG=1"]);
  t.mock.timers.tick(4999);
  assert.equal(sent.length, 1);
  t.mock.timers.tick(1);
  assert.equal(sent.length, 2);
  fails = true;
  for (let turn = 0; turn < 3; turn++) {
    t.mock.timers.tick(5000);
    await settled();
  }
  assert.equal(warn.mock.callCount(), 1);
  feeding[Symbol.dispose]();
  t.mock.timers.tick(60_000);
  assert.equal(sent.length, 5);
});

test("without a watchdog nothing is sent", () => {
  using _feeding = feedWatchdog(silentLog(), {}, () => assert.fail("sent"));
});
