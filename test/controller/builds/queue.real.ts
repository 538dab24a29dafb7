/** The order in which builds are given out, and that each is given once; on both databases. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Build } from "../../../controller/builds/build.ts";
import { BuildQueue } from "../../../controller/builds/queue.ts";
import type { Assignment } from "../../../controller/builds/sessions.ts";
import type { OpenController } from "../../../controller/controller.ts";
import { databaseKinds, openFarm } from "../in-process.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { until } from "../until.ts";

const offer = { agent: "host", toolchain: "default", interactive: "false", machines: ["debian"] } as const;

async function submit(controller: OpenController, name: string, by: string | null = null, priority = 0) {
  const what = { name, version: "0", repository: "https://x.org/x.git", targets: ["*"], priority };
  return (await controller.builds.submit(what, by))[0]!;
}

async function take(controller: OpenController): Promise<Assignment> {
  const assignment = await controller.sessions.assign(offer);
  assert.ok(assignment, "a build is given out");
  return assignment;
}

/** Names in the order in which they are given out, all that wait. */
async function takeAll(controller: OpenController): Promise<string[]> {
  const names: string[] = [];
  for (;;) {
    const assignment = await controller.sessions.assign(offer);
    if (!assignment) return names;
    names.push(assignment.build.name);
  }
}

async function end(controller: OpenController, { session }: Assignment, status: string): Promise<void> {
  const stored = await controller.results.store(session, { version: "1", status, operations: [] });
  assert.equal(stored, "stored");
}

/** The counters of a queue are what the builds say. */
async function assertCounted({ database }: OpenController): Promise<void> {
  const wrong = await database.query(
    `select q.name from croft.queues q where (q.queued, q.running, q.finished, q.cancelled) <>
       (select count(*) filter (where state = 'queued'), count(*) filter (where state = 'building'),
          count(*) filter (where state = 'finished'), count(*) filter (where state = 'cancelled')
        from croft.builds b where b.queue = q.name)`,
  );
  assert.deepEqual(wrong, []);
}

for (const [database, skip] of databaseKinds)
  describe(`a queue (${database})`, { skip, timeout: patienceMs }, () => {
    let controller: OpenController;
    before(async () => {
      controller = await openFarm(database, "retries: 1\n");
    });
    after(() => controller[Symbol.asyncDispose]());
    beforeEach(async () => {
      await controller.database.query(
        "truncate croft.builds, croft.turns, croft.served restart identity cascade",
      );
      await controller.database.query(
        `update croft.queues set paused = false, running_limit = null, running = 0, queued = 0, finished = 0,
           cancelled = 0, last_turn = null`,
      );
    });

    test("lets submitters take turns: a thousand builds of one do not hold up another's", async () => {
      const { queue, specification } = await submit(controller, "ann-1", "ann");
      const added: Build[] = [];
      await controller.database.transaction(async (sql) => {
        for (let number = 2; number <= 1002; number++) {
          const what = { ...specification, name: `ann-${number}` };
          added.push(await new BuildQueue(controller.database).add(sql, queue, what, "ann", null));
        }
      });
      controller.waiting.note(offer);
      const because = (build: Build) => controller.waiting.of(build);
      assert.deepEqual(
        [await because(added[999]!), await because(added[1000]!)],
        ["1000 builds go before it", "more than 1000 builds go before it"],
      );
      controller.waiting.forget(offer);
      for (let number = 1; number <= 10; number++) await end(controller, await take(controller), "success");
      for (let number = 1; number <= 3; number++) await submit(controller, `bob-${number}`, "bob");
      const names: string[] = [];
      for (let count = 0; count < 7; count++) names.push((await take(controller)).build.name);
      assert.deepEqual(names, ["ann-11", "bob-1", "ann-12", "bob-2", "ann-13", "bob-3", "ann-14"]);
    });

    test("who was idle has saved up nothing", async () => {
      for (let number = 1; number <= 5; number++) await submit(controller, `ann-${number}`, "ann");
      await takeAll(controller);
      for (let number = 1; number <= 3; number++) await submit(controller, `bob-${number}`, "bob");
      for (let number = 6; number <= 8; number++) await submit(controller, `ann-${number}`, "ann");
      assert.deepEqual(await takeAll(controller), ["bob-1", "ann-6", "bob-2", "ann-7", "bob-3", "ann-8"]);
    });

    test("gives the highest priority first, in which turns do not depend on other priorities", async () => {
      for (let number = 1; number <= 3; number++) await submit(controller, `ann-${number}`, "ann");
      await submit(controller, "ann-urgent", "ann", 5);
      await submit(controller, "bob-urgent", "bob", 5);
      await submit(controller, "low", "bob", -5);
      await submit(controller, "bob", "bob");
      const expected = ["ann-urgent", "bob-urgent", "ann-1", "bob", "ann-2", "ann-3", "low"];
      assert.deepEqual(await takeAll(controller), expected);
    });

    test("puts an interrupted build before all, an aborted one or one without result before its like", async () => {
      for (const name of ["aborted", "silent", "interrupted"]) await submit(controller, name);
      const [aborted, silent, interrupted] = [
        await take(controller),
        await take(controller),
        await take(controller),
      ];
      await submit(controller, "new");
      await submit(controller, "urgent", null, 5);
      await end(controller, aborted, "abort");
      await end(controller, interrupted, "interrupt");
      // On a busy host the controller may find that it stood still itself, and renew the lease.
      await until(async () => {
        await controller.database.query("update croft.sessions set expires_at = now() where id = $1", [
          silent.session.id,
        ]);
        await controller.leases.look();
        return (await controller.builds.find(silent.build.id))!.state === "queued";
      }, "the end of a lease");
      await assertCounted(controller);
      assert.deepEqual(await takeAll(controller), ["interrupted", "urgent", "aborted", "silent", "new"]);
      await assertCounted(controller);
    });

    test("that is paused or has reached its limit gives nothing, until there is room", async () => {
      const builds = [];
      for (const name of ["a", "b", "c", "d"]) builds.push(await submit(controller, name));
      await controller.database.query("update croft.queues set paused = true");
      assert.deepEqual(await takeAll(controller), []);
      await controller.database.query("update croft.queues set paused = false, running_limit = 1");
      const first = await take(controller);
      assert.deepEqual(await takeAll(controller), []);
      await end(controller, first, "success");
      assert.deepEqual(await takeAll(controller), ["b"]);
      await controller.builds.cancel(builds[1]!.id);
      await controller.builds.cancel(builds[2]!.id);
      assert.deepEqual(await takeAll(controller), ["d"]);
      await assertCounted(controller);
    });

    test("tells why a build waits: its queue, what agents lack, who goes first", async () => {
      const first = await submit(controller, "first");
      const second = await submit(controller, "second");
      const because = (build = first) => controller.waiting.of(build);
      const agent = (name: string, machines: string[]) =>
        controller.waiting.note({ ...offer, agent: name, machines });
      await controller.database.query("update croft.queues set paused = true");
      assert.equal(await because(), "its queue is paused");
      await controller.database.query("update croft.queues set paused = false, running_limit = 0");
      assert.equal(await because(), "0 for target 'default' are being built, as many as may be at once");
      await controller.database.query("update croft.queues set running_limit = null");
      assert.equal(await because(), "no agent asks this controller for tasks");
      const what = {
        name: "x",
        version: "0",
        repository: "https://x.org/x.git",
        targets: ["*"],
        priority: 0,
      };
      const [special] = await controller.builds.submit({ ...what, machine: "alpine*" }, null);
      agent("one", ["debian"]);
      assert.equal(await because(special), "no agent offers a machine 'alpine*' (offered: debian)");
      assert.equal(await because(), "it is next; an idle agent is about to take it");
      assert.equal(await because(second), "1 build goes before it");
      const [interactive] = await controller.builds.submit({ ...what, interactive: "test" }, null);
      assert.equal(
        await because(interactive),
        "no agent with such a machine takes interactive builds (--interactive)",
      );
      const { build } = await take(controller);
      controller.waiting.forget({ ...offer, agent: "one" });
      assert.equal(await because(second), "all agents that could build it are busy (1)");
      assert.equal(await because((await controller.builds.find(build.id))!), undefined);
    });

    test("gives each build once, whoever asks at the same time, and keeps its limit", async () => {
      for (let number = 1; number <= 60; number++)
        await submit(controller, `x${number}`, `who-${number % 3}`);
      await controller.database.query("update croft.queues set running_limit = 40");
      const given: string[] = [];
      const ask = async () => {
        for (let misses = 0; misses < 3;) {
          const assignment = await controller.sessions.assign(offer);
          if (assignment) given.push(assignment.build.name);
          else misses++;
        }
      };
      await Promise.all(Array.from({ length: 8 }, ask));
      assert.equal(given.length, 40);
      assert.equal(new Set(given).size, 40);
      await assertCounted(controller);
    });

    test("has a build again whose taker died before it was given", async () => {
      await submit(controller, "x");
      const dying = controller.database.transaction(async (sql) => {
        await sql.query("update croft.builds set state = 'building' where id = 1");
        throw new Error("died");
      });
      await assert.rejects(dying, /died/);
      assert.deepEqual(await takeAll(controller), ["x"]);
    });
  });
