/** How long builds will take and wait, by what others took; on both databases. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Estimates } from "../../../controller/fleet/estimates.ts";
import type { Offer } from "../../../controller/builds/offer.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { databaseKinds, openFarm } from "../in-process.ts";

const offer: Offer = { agent: "a", toolchain: "gcc", interactive: "false", machines: ["m"] };

for (const [kind, skip] of databaseKinds)
  describe(`estimates (${kind})`, { skip, timeout: patienceMs }, () => {
    test("are the median of what succeeded, and what stands before a build at the agents that could build it", async () => {
      await using farm = await openFarm(
        kind,
        "targets: [{ name: t, machine: '*' }, { name: u, machine: 'x' }]\n",
      );
      const { database } = farm;
      let time = 0;
      const estimates = new Estimates(database, farm.waiting, () => (time += 60_001)); // nothing is remembered
      const submit = async (name: string, target = "t") => {
        const what = { name, version: "0", repository: "https://x.org/x.git", priority: 0 };
        const [build] = await farm.builds.submit({ ...what, targets: [target] }, null);
        return build!;
      };
      const built = async (name: string, seconds: number, status = "success") => {
        await submit(name);
        const { build, session } = (await farm.sessions.assign(offer))!;
        await farm.results.store(session, { version: "1", status, operations: [] });
        await database.query(
          "update croft.builds set started_at = finished_at - $2::integer * interval '1 second' where id = $1",
          [build.id, seconds],
        );
      };
      for (const seconds of [100, 500, 120]) await built("p", seconds);
      await built("p", 5, "error");
      await built("p", 1, "skip");
      await built("q", 40);
      const none = { buildSeconds: null, startSeconds: null, remainingSeconds: null };
      assert.deepEqual(
        await estimates.of(await submit("p", "u")),
        none,
        "not built for that target, by no agent",
      );
      const q = await submit("q");
      farm.waiting.note(offer);
      assert.deepEqual(await estimates.of(q), { buildSeconds: 40, startSeconds: 0, remainingSeconds: null });
      farm.waiting.forget(offer);
      const running = (await farm.sessions.assign(offer))!.build;
      await database.query(
        `update croft.builds set started_at = now() - interval '30 seconds' where id = ${running.id}`,
      );
      await database.query(
        "update croft.sessions set created_at = now() - interval '30 seconds' where state = 'active'",
      );
      const still = (await estimates.of((await farm.builds.find(running.id))!))!;
      assert.ok(still.remainingSeconds! > 8 && still.remainingSeconds! <= 10);
      await submit("p");
      await submit("new"); // takes as long as most for this target
      const last = await submit("p");
      const { buildSeconds, startSeconds } = (await estimates.of(last))!;
      assert.equal(buildSeconds, 120);
      // 10 of the one that runs, 120 of the first, and 110, the median of 100, 120, 500 and 40
      assert.ok(startSeconds! > 10 + 120 + 108 && startSeconds! <= 240, String(startSeconds));
      const listed = await estimates.ofAll(await farm.builds.list({ limit: 50 }));
      assert.equal(listed.size, 5, "those that have not ended");
      const began = [...listed].sort(([one], [other]) => one - other).map(([, one]) => one.startSeconds);
      assert.deepEqual(began.slice(0, 2), [null, null], "by no agent, and being built");
      assert.ok(began[2]! <= 10 && began[3]! > 120 && began[4]! >= startSeconds! - 1, String(began));
      farm.waiting.note({ ...offer, agent: "b" });
      const { startSeconds: sooner } = (await estimates.of(last))!;
      assert.ok(sooner! >= 108 && sooner! <= 120, String(sooner)); // in either order
      await farm.pauses.pause({ kind: "all", name: "" }, null, null);
      assert.equal((await estimates.of(last))!.startSeconds, null);
    });
  });
