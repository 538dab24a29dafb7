/** Faults of hosts: counted apart from what builds do, and not without end; on both databases. */
import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Build } from "../../../controller/builds/build.ts";
import type { Assignment } from "../../../controller/builds/sessions.ts";
import type { OpenController } from "../../../controller/controller.ts";
import { detailsJson, readDetails } from "../../../controller/representation.ts";
import { databaseKinds, openFarm } from "../in-process.ts";
import { patienceMs } from "../../fixtures/patience.ts";

const offer = (agent: string) =>
  ({ agent, toolchain: "default", interactive: "both", machines: ["debian"] }) as const;

for (const [database, skip] of databaseKinds)
  describe(`faults of hosts (${database})`, { skip, timeout: patienceMs }, () => {
    let controller: OpenController;
    before(async () => {
      controller = await openFarm(database, "retries: 1\ninteractive-timeout: 7200\n");
    });
    after(() => controller[Symbol.asyncDispose]());
    beforeEach(async () => {
      const { database, waiting } = controller;
      await database.query("truncate croft.builds, croft.turns, croft.served restart identity cascade");
      await database.query("update croft.queues set running = 0, queued = 0, last_turn = null");
      for (const host of ["a", "b"]) waiting.forget(offer(host));
    });

    async function submit(name: string, more: object = {}, by: string | null = null): Promise<Build> {
      const what = { name, version: "0", repository: "https://x.org/x.git", targets: ["*"], priority: 0 };
      return (await controller.builds.submit({ ...what, ...more }, by))[0]!;
    }

    /** As an agent asks: what it offers is known from then on, until it is given something. */
    async function ask(host: string): Promise<Assignment | undefined> {
      controller.waiting.note(offer(host));
      const assignment = await controller.sessions.assign(offer(host));
      if (assignment) controller.waiting.forget(offer(host));
      return assignment;
    }

    async function take(host: string): Promise<Assignment> {
      const assignment = await ask(host);
      assert.ok(assignment, `${host} is given a build`);
      return assignment;
    }

    async function loseLease({ session }: Assignment): Promise<void> {
      await controller.database.query("update croft.sessions set expires_at = now() where id = $1", [
        session.id,
      ]);
      await controller.leases.look();
    }

    async function end(
      { session }: Assignment,
      status: string,
      operation?: string,
      log = "",
    ): Promise<string> {
      const operations = operation === undefined ? [] : [{ name: operation, status, log }];
      return await controller.results.store(session, {
        ...{ version: "1", status, operations },
        agentChecksum: "croft-1",
      });
    }

    const isFault = (assignment: Assignment) => end(assignment, "abort", "agent", "no room\n");

    /** As an agent says that its host has not what the build asks for. */
    async function refuse({ session }: Assignment, agentChecksum = "croft-1"): Promise<void> {
      const abort = { name: "agent", status: "abort", log: "it needs a database\n" };
      const result = { version: "1", status: "interrupt", operations: [abort], agentChecksum };
      assert.equal(await controller.results.store(session, result), "stored");
    }

    async function counters(id: number) {
      const build = (await controller.builds.find(id))!;
      const { state, status, attempts, aborts, faults, interrupts } = build;
      return [state, status, { attempts, aborts, faults, interrupts }];
    }

    async function running(): Promise<number> {
      const [row] = await controller.database.query<{ sum: number }>(
        "select sum(running)::integer as sum from croft.queues",
      );
      return row!.sum;
    }

    test("leases that end are given out again five times; the sixth ends the build and names the hosts", async () => {
      const { id } = await submit("lost");
      let last!: Assignment;
      for (let count = 1; count <= 6; count++) {
        last = await take(`host-${count}`);
        await loseLease(last);
        if (count < 6)
          assert.deepEqual(await counters(id), [
            "queued",
            null,
            { attempts: count, aborts: 0, faults: count, interrupts: 0 },
          ]);
      }
      const wanted = { attempts: 6, aborts: 0, faults: 6, interrupts: 0 };
      assert.deepEqual(await counters(id), ["finished", "abort", wanted]);
      assert.equal(await ask("a"), undefined);
      assert.equal(await running(), 0);
      assert.equal(await end(last, "success"), "gone");
      assert.equal((await controller.builds.find(id))!.status, "abort");
      const details = (await readDetails(controller, id, true))!;
      const { operations } = detailsJson(details, "");
      assert.deepEqual(
        operations.map(({ name, status, errors }) => [name, status, errors]),
        [["farm", "abort", 1]],
      );
      const log = await text(controller.blobs.read(details.operations[0]!.log_digest));
      assert.match(log, /a fault of the farm, not of the build\n/);
      for (let count = 1; count <= 6; count++)
        assert.ok(
          log.includes(`attempt ${count}, debian at host-${count}: no result before its lease ended\n`),
          log,
        );
    });

    test("what hosts cannot do is no abort of the build, has its reason, and ends it the sixth time, too", async () => {
      const { id } = await submit("faulty");
      for (let count = 1; count <= 6; count++) assert.equal(await isFault(await take("a")), "stored");
      const wanted = { attempts: 6, aborts: 0, faults: 6, interrupts: 0 };
      assert.deepEqual(await counters(id), ["finished", "abort", wanted]);
      assert.equal(await running(), 0);
      const { operations, attempts } = detailsJson((await readDetails(controller, id, true))!, "");
      assert.deepEqual(
        operations.map(({ name, status }) => [name, status]),
        [
          ["agent", "abort"],
          ["farm", "abort"],
        ],
      );
      assert.deepEqual(new Set(attempts.map(({ fault }) => fault)), new Set(["no room"]));
    });

    test("each kind counts for itself: two aborts of its own end a build, whatever else happened", async () => {
      const { id } = await submit("both");
      for (let count = 0; count < 9; count++) await end(await take("a"), "interrupt");
      for (let count = 0; count < 3; count++) await isFault(await take("a"));
      await end(await take("a"), "abort", "machine", "it died\n");
      const before = { attempts: 13, aborts: 1, faults: 3, interrupts: 9 };
      assert.deepEqual(await counters(id), ["queued", null, before]);
      await end(await take("a"), "abort", "machine", "it died\n");
      assert.deepEqual(await counters(id), ["finished", "abort", { ...before, attempts: 14, aborts: 2 }]);
    });

    test("an attempt is one fault, also if its lease ended first; its late success counts", async () => {
      const { id } = await submit("late");
      const first = await take("a");
      await loseLease(first);
      assert.equal(await isFault(first), "stored");
      assert.deepEqual(await counters(id), [
        "queued",
        null,
        { attempts: 1, aborts: 0, faults: 1, interrupts: 0 },
      ]);
      const second = await take("a");
      await loseLease(second);
      assert.equal(await end(second, "success"), "stored");
      assert.deepEqual((await counters(id)).slice(0, 2), ["finished", "success"]);
      assert.equal(await running(), 0);
    });

    test("the host that failed a build last is given others, as long as another host offers the machine", async () => {
      const failed = await submit("failed");
      const other = await submit("other");
      assert.equal(await ask("b").then((given) => given?.build.id), failed.id);
      await controller.builds.cancel(failed.id);
      const { id } = await controller.builds.rebuild(failed, null);
      await controller.builds.cancel(other.id);
      await isFault(await take("a"));
      const another = await submit("another");
      controller.waiting.note(offer("b"));
      assert.equal(
        await controller.waiting.of((await controller.builds.find(id))!),
        "it is next; an idle agent other than a, which failed it, is about to take it",
      );
      assert.equal((await take("a")).build.id, another.id);
      assert.equal(await ask("a"), undefined);
      assert.equal((await take("b")).build.id, id);
    });

    test("a host that is alone with the machine is given a build again, and so is one that failed it before", async () => {
      const { id } = await submit("alone", { machine: "debian" });
      await isFault(await take("a"));
      controller.waiting.note({ ...offer("b"), machines: ["fedora"], toolchain: "other" });
      assert.equal((await controller.sessions.assign(offer("a")))?.build.id, id);
      await controller.database.query("update croft.sessions set expires_at = now()");
      await controller.leases.look();
      controller.waiting.note(offer("a"));
      assert.equal(await isFault(await take("b")), "stored");
      controller.waiting.note(offer("b"));
      assert.equal((await take("a")).build.id, id);
    });

    test("an interrupt is forgotten as to where: the same host may go on with it", async () => {
      const { id } = await submit("interrupted");
      await isFault(await take("a"));
      await end(await take("b"), "interrupt");
      controller.waiting.note(offer("b"));
      assert.equal((await take("a")).build.id, id);
    });

    test("who refuses a build is not given it again, though nobody else has the machine; why is told", async () => {
      const { id } = await submit("refused");
      const waits = async () => await controller.waiting.of((await controller.builds.find(id))!);
      await refuse(await take("a"));
      assert.deepEqual(await counters(id), [
        "queued",
        null,
        { attempts: 1, aborts: 0, faults: 0, interrupts: 0 },
      ]);
      assert.equal(await ask("a"), undefined);
      assert.equal(await waits(), "only a has such a machine, and refused it (it needs a database)");
      controller.waiting.note(offer("b"));
      assert.equal(
        await waits(),
        "it is next; an idle agent other than a, which refused it, is about to take it",
      );
      const { attempts } = detailsJson((await readDetails(controller, id, true))!, "");
      assert.deepEqual(
        attempts.map(({ status, fault }) => [status, fault]),
        [["interrupt", "it needs a database"]],
      );
      await refuse(await take("b"));
      for (const host of ["a", "b"]) assert.equal(await ask(host), undefined, host);
      assert.match((await waits())!, /^only a, b have such a machine, and refused it \(b: it needs/);
      assert.equal((await take("c")).build.id, id);
    });

    test("an hour later a host that refused a build is given it, if there is still no other", async () => {
      const { id } = await submit("refused");
      const hourAgo = "update croft.builds set queued_at = now() - interval '1 hour'";
      await refuse(await take("a"));
      await controller.database.query(hourAgo);
      controller.waiting.note(offer("b"));
      assert.equal(await ask("a"), undefined);
      controller.waiting.forget(offer("b"));
      assert.equal((await take("a")).build.id, id);
    });

    test("a build that one host refused, and another one failed, is given to the latter: there is none else", async () => {
      const { id } = await submit("refused");
      await refuse(await take("a"));
      await isFault(await take("b"));
      assert.equal(await ask("a"), undefined);
      assert.equal((await take("b")).build.id, id);
    });

    test("a refused build keeps its place, and what other makes' agents say is no refusal", async () => {
      const { id } = await submit("refused");
      await submit("later");
      await refuse(await take("a"));
      assert.equal((await take("b")).build.id, id);
      const later = await take("a");
      await refuse(later, "other-1");
      assert.deepEqual((await counters(later.build.id))[2], {
        ...{ attempts: 1, aborts: 0, faults: 0, interrupts: 1 },
      });
      assert.equal((await take("a")).build.id, later.build.id);
    });

    test("after its second fault a build goes behind its like, and before what is less urgent", async () => {
      const { id } = await submit("failed", {}, "ann");
      await isFault(await take("a"));
      await submit("new", {}, "bob");
      await submit("newer", {}, "bob");
      await submit("low", { priority: -1 });
      const again = await take("a");
      assert.equal(again.build.id, id, "the first fault costs no place");
      await isFault(again);
      const names: string[] = [];
      for (let given = await ask("a"); given; given = await ask("a")) names.push(given.build.name);
      assert.deepEqual(names, ["new", "newer", "failed", "low"]);
    });

    test("an interactive build is leased for as long as a person may take, whatever its target says", async () => {
      await submit("quick");
      await submit("slow", { interactive: "error" });
      const leases = new Map<string, number>();
      for (let given = await ask("a"); given; given = await ask("a"))
        leases.set(given.build.name, given.session.lease_seconds);
      assert.deepEqual(Object.fromEntries(leases), { quick: 6000, slow: 7800 });
    });
  });
