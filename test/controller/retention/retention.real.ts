/** What is removed of builds that have ended, and what never; on both databases. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, beforeEach, describe, test } from "node:test";
import type { OpenController } from "../../../controller/controller.ts";
import type { RetentionRules } from "../../../controller/retention/rules.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { databaseKinds, openFarm } from "../in-process.ts";

const offer = { agent: "host", toolchain: "default", interactive: "false", machines: ["debian"] } as const;
const longAgo = new Date("2020-01-01");

/** A build that has ended so many days ago, with a log and an artifact; its id. */
async function build(
  { builds, sessions, results, artifacts, blobs, liveLogs, database }: OpenController,
  name: string,
  { status = "success", days = 0, log = `log of ${name}`, artifact = "" } = {},
): Promise<number> {
  const what = { name, version: "0", repository: "https://x.org/x.git", targets: ["*"], priority: 0 };
  await builds.submit(what, null);
  const { session, build } = (await sessions.assign(offer))!;
  await liveLogs.append(session.id, 0, Buffer.from("live"));
  if (artifact !== "") {
    await using incoming = await blobs.receive([Buffer.from(artifact)]);
    assert.ok(await artifacts.add(session, "artifact", [{ name: "a", incoming }]));
  }
  const operations = [{ name: "test", status, log }];
  assert.equal(await results.store(session, { version: "1", status, operations }), "stored");
  const ago = `now() - ${days} * interval '1 day' - interval '2 hours'`;
  await database.query(`update croft.builds set finished_at = ${ago} where id = $1`, [build.id]);
  await database.query(`update croft.sessions set ended_at = ${ago} where id = $1`, [session.id]);
  return build.id;
}

/** As if what is stored had been stored hours ago. */
async function age({ database }: OpenController): Promise<void> {
  await database.query("update croft.blobs set used_at = used_at - interval '2 hours'");
}

function storedBlobs({ directory }: OpenController): number {
  const found = readdirSync(directory.blobs, { recursive: true, withFileTypes: true });
  return found.filter((entry) => entry.isFile() && entry.name !== "storage-id").length;
}

async function idsLeft({ builds }: OpenController): Promise<number[]> {
  return (await builds.list({ limit: 500 })).map(({ id }) => id).sort((one, other) => one - other);
}

/** Nothing is referred to that is not there, and the queue's numbers are those of its builds. */
async function assertWhole({ database, blobs }: OpenController): Promise<void> {
  const referred = await database.query<{ digest: string }>(
    "select log_digest as digest from croft.operations union select digest from croft.artifacts",
  );
  for (const { digest } of referred) await text(blobs.read(digest));
  const [count] = await database.query(
    `select (select sum(finished) from croft.queues)::integer = count(*) filter (where state = 'finished') as finished,
       (select sum(cancelled) from croft.queues)::integer = count(*) filter (where state = 'cancelled') as cancelled
     from croft.builds`,
  );
  assert.deepEqual(count, { finished: true, cancelled: true });
}

for (const [database, skip] of databaseKinds)
  describe(`retention (${database})`, { skip, timeout: patienceMs }, () => {
    let controller: OpenController;
    before(async () => {
      controller = await openFarm(database);
    });
    after(() => controller[Symbol.asyncDispose]());
    beforeEach(async () => {
      await controller.database.query("truncate croft.builds, croft.turns, croft.served cascade");
      await controller.database.query(
        "update croft.queues set queued = 0, running = 0, finished = 0, cancelled = 0",
      );
      await age(controller);
      await controller.retention.prune();
      assert.equal(storedBlobs(controller), 0);
    });

    /** What the preview says is what is done then. */
    async function prune(rules: RetentionRules) {
      await age(controller);
      const preview = await controller.retention.preview(rules);
      const report = await controller.retention.prune(rules);
      assert.deepEqual(preview, report);
      await assertWhole(controller);
      return report;
    }

    test("removes builds by age with all they have, but for the last success, pinned ones, and what has not ended", async () => {
      const first = await build(controller, "a", { days: 40 });
      const pinned = await build(controller, "a", { days: 40 });
      const success = await build(controller, "a", { days: 40, artifact: "kept" });
      const failed = await build(controller, "a", { days: 35, status: "error" });
      const young = await build(controller, "b", { days: 20 });
      await controller.builds.pin(pinned, true);
      const what = {
        name: "a",
        version: "0",
        repository: "https://x.org/x.git",
        targets: ["*"],
        priority: 0,
      };
      const [queued] = await controller.builds.submit(what, null);
      const report = await prune({ days: 30 });
      assert.deepEqual(
        report.builds.map(({ id, reason }) => [id, reason]),
        [
          [first, "age"],
          [failed, "age"],
        ],
      );
      assert.deepEqual(await idsLeft(controller), [pinned, success, young, queued!.id]);
      // All those of "a" have the same log; what is left has it still.
      assert.equal(storedBlobs(controller), 3);
      assert.deepEqual(report.liveLogs, { count: 2, bytes: 8 });
      await controller.builds.pin(pinned, false);
      assert.deepEqual((await prune({ days: 30 })).builds, [{ id: pinned, reason: "age" }]);
      await controller.builds.cancel(queued!.id);
    });

    test("removes builds by count for each package and target, and logs and artifacts that are of them alone", async () => {
      const ids: number[] = [];
      for (let count = 0; count < 5; count++)
        ids.push(await build(controller, "a", { log: `log ${count}`, artifact: `artifact ${count % 2}` }));
      const other = await build(controller, "b");
      assert.equal(storedBlobs(controller), 8);
      const report = await prune({ builds: 2 });
      assert.deepEqual(
        report.builds,
        ids.slice(0, 3).map((id) => ({ id, reason: "count" })),
      );
      assert.deepEqual(await idsLeft(controller), [...ids.slice(3), other]);
      assert.deepEqual(report.blobs, { count: 3, bytes: 15 });
      assert.equal(storedBlobs(controller), 5);
    });

    test("leaves what ended within the hour", async () => {
      for (let count = 0; count < 3; count++) await build(controller, "a", { status: "error" });
      await controller.database.query("update croft.builds set finished_at = now() - interval '59 minutes'");
      assert.deepEqual((await prune({ builds: 1 })).builds, []);
    });

    test("removes live logs whose result has been there for long, and those of nobody", async () => {
      await build(controller, "a", { days: 3 });
      const young = await build(controller, "a");
      await controller.liveLogs.append(999_999, 0, Buffer.from("nobody's"));
      const [session] = await controller.sessions.of(young);
      assert.deepEqual((await prune({ liveLogDays: 2 })).liveLogs, { count: 2, bytes: 12 });
      assert.deepEqual(await controller.liveLogs.sessions(), [session!.id]);
    });

    test("finds what a killed controller has left: received, stored, not referred to, without a row", async () => {
      const { blobs, database, directory, retention } = controller;
      await blobs.store(Buffer.from("referred to by nobody"));
      const { digest } = await blobs.store(Buffer.from("without a row"));
      await database.query("delete from croft.blobs where digest = $1", [digest]);
      await utimes(join(directory.blobs, digest.slice(0, 2), digest.slice(2)), longAgo, longAgo);
      await writeFile(join(directory.incoming, "abandoned"), "");
      await utimes(join(directory.incoming, "abandoned"), longAgo, longAgo);
      await writeFile(join(directory.incoming, "growing"), "");
      assert.deepEqual((await prune({})).blobs, { count: 2, bytes: 34 });
      assert.equal(storedBlobs(controller), 0);
      assert.deepEqual(readdirSync(directory.incoming), ["growing"]);
      assert.deepEqual((await retention.prune()).blobs, { count: 0, bytes: 0 });
    });

    test("leaves what was stored a moment ago, and is not referred to yet, though the same was unused for long", async () => {
      const { blobs, database } = controller;
      const { digest } = await blobs.store(Buffer.from("again"));
      await age(controller);
      await blobs.store(Buffer.from("again"));
      assert.deepEqual((await controller.retention.prune()).blobs.count, 0);
      await database.transaction((sql) => blobs.hold(sql, [digest]));
      await age(controller);
      assert.deepEqual((await controller.retention.prune()).blobs.count, 1);
      // Who took so long is told, instead of referring to what is gone.
      await assert.rejects(
        database.transaction((sql) => blobs.hold(sql, [digest])),
        /was removed before anything referred to it/,
      );
      assert.ok(!existsSync(join(controller.directory.blobs, digest.slice(0, 2), digest.slice(2))));
    });

    test("beside builds that end with the same logs and artifacts leaves nothing referred to that is not there", async () => {
      let pruned = 0;
      let over = false;
      const pruning = (async () => {
        while (!over) {
          await age(controller);
          pruned += (await controller.retention.prune({ builds: 1 })).blobs.count;
        }
      })();
      try {
        for (let count = 0; count < 40 || pruned === 0; count++) {
          const same = `same ${count % 3}`;
          await build(controller, "a", { status: "error", log: same, artifact: same }).catch(
            (error: Error) => {
              if (!/before anything referred to it/.test(error.message)) throw error;
            },
          );
        }
      } finally {
        over = true;
        await pruning;
      }
      await assertWhole(controller);
    });
  });
