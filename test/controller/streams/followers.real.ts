/** What following builds costs, and whose changes are heard of; on both databases. */
import assert from "node:assert/strict";
import { after, before, describe, mock, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { OpenController } from "../../../controller/controller.ts";
import { follow, type FollowEvent } from "../../../controller/follow.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { databaseKinds, openFarm, openOn } from "../in-process.ts";
import { noPostgres, startPostgres } from "../database/postgres.ts";
import { until } from "../until.ts";
import { patienceMs } from "../../fixtures/patience.ts";

const what = { name: "x", version: "0", repository: "https://x.org/x.git", targets: ["*"], priority: 0 };
const offer = { agent: "host", toolchain: "default", interactive: "false", machines: ["debian"] } as const;

/** Counts what is asked of a database about builds and attempts, other than by who looks for ended leases. */
function countQueries({ database }: OpenController): () => number {
  let count = 0;
  const query = database.query.bind(database);
  database.query = (text, values) => {
    if (/where (id|build) = \$1/.test(text)) count++;
    return query(text, values);
  };
  return () => count;
}

for (const [database, skip] of databaseKinds)
  describe(`followers (${database})`, { skip, timeout: patienceMs }, () => {
    let controller: OpenController;
    before(async () => {
      controller = await openFarm(database);
      await until(async () => controller.changes.complete, "changes to be heard of");
    });
    after(() => controller[Symbol.asyncDispose]());

    test("300 idle ones cost no query, and a change one look for all of them", async () => {
      const [build] = await controller.builds.submit(what, null);
      const count = countQueries(controller);
      const left = new AbortController();
      const followers = Array.from({ length: 300 }, () =>
        follow(controller, build!.id, undefined, left.signal),
      );
      const nextOf = async () => {
        const events = await Promise.all(followers.map((one) => one.next()));
        return events.map(({ value }) => value as FollowEvent);
      };
      const first = await nextOf();
      assert.ok(first.every((event) => event.kind === "state" && event.build.state === "queued"));
      assert.ok(count() <= 2, `${count()} queries for the first look`);
      const before = count();
      mock.timers.enable({ apis: ["setTimeout"] });
      try {
        const waiting = nextOf();
        for (let second = 0; second < 60; second++) {
          mock.timers.tick(1000);
          await turn();
        }
        assert.ok((await waiting).every(({ kind }) => kind === "idle"));
        assert.equal(count(), before, "a minute costs nothing");
      } finally {
        mock.timers.reset();
      }
      const next = nextOf();
      await controller.sessions.assign(offer);
      assert.ok((await next).every((event) => event.kind === "state" && event.build.state === "building"));
      assert.ok(count() - before <= 2, `${count() - before} queries for a change`);
      left.abort();
    });
  });

test(
  "followers hear what another controller changes, without asking",
  { skip: noPostgres, timeout: patienceMs },
  async () => {
    await using server = await startPostgres();
    await using directory = await temporaryDirectory("croft-test-followers-");
    await using first = await openOn(directory.path, server.url);
    await using second = await openOn(directory.path, server.url);
    for (const one of [first, second])
      await until(async () => one.changes.complete, "changes to be heard of");
    const [build] = await first.builds.submit(what, null);
    const seen: string[] = [];
    const ended = (async () => {
      for await (const event of follow(second, build!.id, undefined, new AbortController().signal)) {
        // Idle is who heard nothing for a while: without word from the first, this one would see no more than that.
        if (event.kind !== "idle") seen.push(event.kind === "log" ? event.bytes.toString() : event.kind);
      }
    })();
    await until(async () => seen.length === 1, "the state");
    const assignment = await first.sessions.assign(offer);
    await until(async () => seen.length === 2, "the attempt");
    await first.liveLogs.append(assignment!.session.id, 0, Buffer.from("hello"));
    first.changes.announce("log", build!.id);
    await until(async () => seen.includes("hello"), "the log");
    // A listener that lost its connection looks again.
    await first.database.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%'",
    );
    await until(async () => !second.changes.complete, "the loss to be noticed");
    await first.builds.cancel(build!.id);
    await ended;
    assert.deepEqual(seen, ["state", "state", "hello", "state", "end"]);
  },
);
