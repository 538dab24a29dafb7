/** Builds that agents of other makes cannot read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BuildQueue } from "../../../controller/builds/queue.ts";
import { WaitingReasons } from "../../../controller/fleet/waiting.ts";
import { buildRow, DatabaseDouble, specification } from "./database-double.ts";

test("agents of other makes pass over builds that they cannot read; a build knows that from its beginning", async () => {
  const database = new DatabaseDouble({
    "with turn as": () => [buildRow()],
    "with counted as": () => [buildRow()],
  });
  const queue = new BuildQueue(database);
  await queue.add(database, "q", { ...specification, version: "1.0~rc1" }, null, null);
  assert.equal(database.statements.splice(0)[0]!.values.at(-4), true);
  for (const isForeign of [false, true]) {
    await queue.waiting(isForeign);
    await queue.take(
      database,
      { name: "q", target: "x" },
      { host: "host", isForeign, hasAlternative: () => false },
    );
    const passing = database.statements.splice(0).map(({ text }) => text.includes("and not croft_only"));
    assert.deepEqual(passing, [isForeign, isForeign]);
  }
});

test("an agent of another make is no alternative for a build that it cannot read", () => {
  const waiting = new WaitingReasons(new DatabaseDouble(), {
    agents: { list: async () => [] },
    pauses: { list: async () => [], ofTarget: async () => undefined },
    queue: { waiting: async () => [] },
  });
  const offer = { toolchain: "gcc", interactive: "false", machines: ["debian"] } as const;
  const key = { target: "x", machine: "*", toolchain: "*", interactive: false };
  waiting.note({ ...offer, agent: "other", isForeign: true });
  assert.equal(waiting.isOfferedElsewhere(key, ["host"], false), true);
  assert.equal(waiting.isOfferedElsewhere(key, ["host"], true), false);
  waiting.note({ ...offer, agent: "croft" });
  assert.equal(waiting.isOfferedElsewhere(key, ["host"], true), true);
});
