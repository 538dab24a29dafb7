/** Leases beside their database: when they are written, and what ends them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Build } from "../../../controller/builds/build.ts";
import { Changes, ChangeWaiter } from "../../../controller/builds/noting/changes.ts";
import type { Session } from "../../../controller/builds/session.ts";
import { Leases } from "../../../controller/leases/leases.ts";
import { silentLog } from "../../../os/log.ts";
import { buildRow, DatabaseDouble, sessionRow } from "../builds/database-double.ts";

function leasesOf(
  answers: ConstructorParameters<typeof DatabaseDouble>[0] = {},
  leaseMarginSeconds = 60,
  now = () => 0,
) {
  const view = { now: new Date(0), signing: 0, late: 0, over: 0, next_ms: null };
  const database = new DatabaseDouble({
    "select clock_timestamp": () => [{ now: new Date(now()) }],
    "select now() as now": () => [view],
    ...answers,
  });
  const changes = new Changes();
  const told = new ChangeWaiter(changes, ["state"]);
  const failed: unknown[] = [];
  const faults = {
    add: async (_sql: unknown, { id }: Build, { agent }: Session, reason: string) =>
      void failed.push([id, agent, reason]),
  };
  const settings = { controllerName: "here", leaseMarginSeconds, now };
  const queue = {
    takeBack: () => Promise.reject(new Error("no session is lost")),
    putBack: () => Promise.reject(new Error("no key is revoked")),
  };
  const agentKeys = { isRevokedFor: () => false };
  const leases = new Leases({ database, queue, faults, agentKeys, changes, log: silentLog() }, settings);
  const written = (beginning: string) =>
    database.statements.filter(({ text }) => text.startsWith(beginning)).map(({ values }) => values);
  return { leases, database, told, failed, written };
}

test("what else shows life is written at most four times in what a lease may be late, and each 10 s at most", async () => {
  for (const [marginSeconds, every] of [
    [60, 10_000],
    [8, 2000],
  ] as const) {
    let now = 0;
    const { leases, database } = leasesOf({}, marginSeconds, () => now);
    const writtenAfter = async (milliseconds: number, id = 70) => {
      now += milliseconds;
      await leases.extend({ id });
      return database.statements.splice(0).map(({ values }) => values);
    };
    assert.deepEqual(await writtenAfter(0), [[70, marginSeconds, 60]]);
    assert.deepEqual(await writtenAfter(every - 1), []);
    assert.deepEqual(
      await writtenAfter(0, 71),
      [[71, marginSeconds, 60]],
      "another session has its own time",
    );
    assert.deepEqual(await writtenAfter(1), [[70, marginSeconds, 60]]);
  }
});

test("signs that come together are written together, each for as long as what its agent does takes", async () => {
  const { leases, written } = leasesOf({}, 600);
  await Promise.all([
    leases.sign([{ session: "a", phase: "building" }]),
    leases.sign([
      { session: "b", phase: "deciding" },
      { session: "c", phase: "delivering" },
    ]),
  ]);
  await leases.sign([{ session: "a", phase: "building" }]);
  assert.deepEqual(written("update croft.sessions s set signs_until"), [
    [
      ["a", "b", "c"],
      [60, 60, 3600],
      [0, 600, 3600],
    ],
    [["a"], [60], [0]],
  ]);
});

test("a lease that is over is a fault of its host, unless its agent was quicker; and says of which kind", async () => {
  const [early, late] = [new Date(0), new Date(9)];
  for (const [isOver, expiresAt, reason] of [
    [true, early, "no result before its lease ended"],
    [true, late, "no sign of life for a minute"],
    [false, early, ""],
  ] as const) {
    const session = sessionRow({ expires_at: expiresAt, ended_at: new Date(5) });
    const on = leasesOf({
      "select * from croft.sessions s where state = 'active'": () => [session],
      "select * from croft.builds where id": () => [buildRow()],
      "update croft.sessions s set state = 'expired'": () => (isOver ? [session] : []),
    });
    assert.equal(await on.leases.look(), undefined);
    assert.deepEqual([on.failed, on.told.take()], isOver ? [[[7, "host", reason]], [7]] : [[], []]);
  }
});

test("while the network is suspected, only leases end that are over whatever agents say", async () => {
  let now = 0;
  const view = { now: new Date(0), signing: 6, late: 3, over: 3, next_ms: -1 };
  const on = leasesOf({ "select now() as now": () => [view] }, 600, () => now);
  const counts = () => on.written("select * from croft.sessions s").map(([silenceCounts]) => silenceCounts);
  assert.equal(await on.leases.look(), -1);
  for (; now < 120_000; await on.leases.look()) now += 10_000;
  assert.deepEqual(counts(), [...Array(12).fill(false), true]);
});

test("after a gap all get a full minute, before the controller says that it is there again", async () => {
  let now = 0;
  const on = leasesOf({}, 600, () => now);
  const renewals = async (afterMs: number) => {
    now += afterMs;
    on.database.statements.length = 0;
    await on.leases.look();
    const changes = on.database.statements.filter(({ isInTransaction }) => isInTransaction);
    return changes.map(({ text }) => text.split(" ").slice(0, 3).join(" "));
  };
  const there = "insert into croft.controllers";
  const renewed = ["update croft.sessions set", there];
  assert.deepEqual(await renewals(0), renewed, "at its start");
  assert.deepEqual([await renewals(5000), await renewals(14_000)], [[there], [there]]);
  assert.deepEqual(await renewals(16_000), renewed);
});
