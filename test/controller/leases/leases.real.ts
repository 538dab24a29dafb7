/** Leases by signs of life, and what ends them, on both databases; time goes on in them by what is written there. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Assignment } from "../../../controller/builds/sessions.ts";
import type { Database } from "../../../controller/database/database.ts";
import { ChangeWaiter } from "../../../controller/builds/noting/changes.ts";
import { Leases } from "../../../controller/leases/leases.ts";
import { silentLog } from "../../../os/log.ts";
import type { OpenController } from "../../../controller/controller.ts";
import { startServer, type ListeningServer } from "../../../controller/server.ts";
import { formatSigns, parseEndedSessions, type SessionPhase } from "../../../manifests/own/signs.ts";
import { databaseKinds, openFarm } from "../in-process.ts";
import { until } from "../until.ts";
import { patienceMs } from "../../fixtures/patience.ts";

for (const [database, skip] of databaseKinds)
  describe(`leases by signs of life (${database})`, { skip, timeout: patienceMs }, () => {
    let controller: OpenController;
    let server: ListeningServer;
    before(async () => {
      controller = await openFarm(database, "listen: 127.0.0.1:0\n");
      server = await startServer(controller);
    });
    after(async () => {
      await server[Symbol.asyncDispose]();
      await controller[Symbol.asyncDispose]();
    });
    beforeEach(async () => {
      await query("truncate croft.builds, croft.turns, croft.served restart identity cascade");
      await query("update croft.queues set running = 0, queued = 0, last_turn = null");
      await query("delete from croft.controllers where name = 'other'");
    });

    const query = (text: string) => controller.database.query<Record<string, unknown>>(text);

    async function give(agent = "a"): Promise<Assignment> {
      const what = {
        name: "x",
        version: "0",
        repository: "https://x.org/x.git",
        targets: ["*"],
        priority: 0,
      };
      await controller.builds.submit(what, null);
      return await take(agent);
    }

    async function take(agent: string): Promise<Assignment> {
      const offer = { agent, toolchain: "default", interactive: "both", machines: ["m"] } as const;
      const given = await controller.sessions.assign(offer, 60);
      assert.ok(given, `${agent} is given a build`);
      return given;
    }

    /** So many seconds go by for all leases. */
    async function pass(seconds: number): Promise<void> {
      const shift = (column: string) => `${column} = ${column} - ${seconds} * interval '1 second'`;
      await query(
        `update croft.sessions set ${shift("signs_until")}, ${shift("expires_at")} where state = 'active'`,
      );
    }

    const sign = ({ session }: Assignment, phase: SessionPhase = "building") =>
      controller.leases.sign([{ session: session.token, phase }]);

    async function stateAfter({ session }: Assignment, seconds = 0): Promise<string> {
      await pass(seconds);
      await controller.leases.look();
      return (await controller.sessions.find(session.token))!.state;
    }

    const end = ({ session }: Assignment, status: string) =>
      controller.results.store(session, { version: "1", status, operations: [] });

    test("a lease lasts a minute after each sign, and the build is offered again then", async () => {
      const given = await give();
      assert.equal(await stateAfter(given, 50), "active");
      await sign(given);
      assert.equal(await stateAfter(given, 50), "active");
      assert.equal(await stateAfter(given, 11), "expired");
      const build = (await controller.builds.find(given.build.id))!;
      assert.deepEqual([build.state, build.faults, build.faulty_host], ["queued", 1, "a"]);
      const [attempt] = await controller.sessions.of(build.id);
      assert.equal(attempt!.fault, "no sign of life for a minute");
    });

    test("signs prolong no build beyond its timeout and the margin, but its result's way by an hour", async () => {
      const slow = await give();
      await query("update croft.sessions set expires_at = expires_at - interval '5950 seconds'");
      await sign(slow);
      assert.equal(await stateAfter(slow, 40), "active");
      await sign(slow);
      assert.equal(await stateAfter(slow, 11), "expired");
      const delivering = await give("b");
      await pass(50);
      await sign(delivering, "delivering");
      assert.equal(await stateAfter(delivering, 3590), "active");
      assert.equal(await stateAfter(delivering, 11), "expired");
    });

    test("an agent that gives no signs keeps its lease for the whole time", async () => {
      const given = await give();
      await query("update croft.sessions set signs_until = null");
      assert.equal(await stateAfter(given, 5900), "active");
      await controller.leases.extend(given.session);
      const [row] = await query("select signs_until from croft.sessions");
      assert.deepEqual(row, { signs_until: null });
    });

    test("no silence counts while another controller is away; one that does not come back is gone", async () => {
      const given = await give();
      const seen = (ago: number) =>
        query(`insert into croft.controllers values ('other', clock_timestamp() - ${ago} * interval '1 second')
               on conflict (name) do update set seen_at = excluded.seen_at`);
      await seen(20);
      assert.equal(await stateAfter(given, 100), "active");
      await seen(170);
      assert.equal(await stateAfter(given), "active");
      await seen(181);
      assert.equal(await stateAfter(given), "expired");
      const other = await give("b");
      await seen(5);
      assert.equal(await stateAfter(other, 61), "expired", "both were there");
    });

    test("whoever was stopped before it ends a lease was not there, and ends none", async () => {
      const given = await give();
      await pass(100);
      let transactions = 0;
      const { database, changes } = controller;
      const stopping: Database = {
        ...database,
        transaction: (work) =>
          database.transaction(async (sql) => {
            // The first one says that it is there.
            if (++transactions === 3)
              await sql.query(
                `update croft.controllers set seen_at = clock_timestamp() - interval '20 seconds'
                 where name = 'other'`,
              );
            return await work(sql);
          }),
      };
      const faults = { add: () => Promise.reject(new Error("a lease ended")) };
      const queue = {
        takeBack: () => Promise.reject(new Error("a session came back")),
        putBack: () => Promise.reject(new Error("a lease ended")),
      };
      const { agentKeys } = controller;
      const leases = new Leases(
        { database: stopping, queue, faults, agentKeys, changes, log: silentLog() },
        { controllerName: "other", leaseMarginSeconds: 600 },
      );
      await leases.look(); // the first one gives all a minute
      await pass(100);
      await leases.look();
      assert.equal(transactions, 3);
      assert.equal((await controller.sessions.find(given.session.token))!.state, "active");
    });

    test("the first complete result counts, from either session; the other agent is told", async () => {
      for (const first of ["former", "latter"]) {
        const former = await give("a");
        assert.equal(await stateAfter(former, 61), "expired");
        const latter = await take("b");
        assert.equal(latter.build.id, former.build.id);
        const [winner, loser] = first === "former" ? [former, latter] : [latter, former];
        const told = sendSigns(loser, 15);
        assert.equal(await end(winner, "warning"), "stored");
        const superseded = [{ session: loser.session.token, state: "superseded" }];
        assert.deepEqual(await told, { status: 200, ended: superseded });
        assert.equal(await end(loser, "success"), "gone");
        const { state, status, session } = (await controller.builds.find(former.build.id))!;
        assert.deepEqual([state, status, session], ["finished", "warning", winner.session.id]);
      }
      assert.deepEqual(await query("select running from croft.queues where running <> 0"), []);
    });

    /** What there is of a build, and how many its queue counts. */
    async function standing(id: number): Promise<unknown[]> {
      const { state, session, faults, faulty_host } = (await controller.builds.find(id))!;
      const [counts] = await query(
        "select sum(queued)::integer as q, sum(running)::integer as r from croft.queues",
      );
      return [state, session, faults, faulty_host, counts!["q"], counts!["r"]];
    }

    test("an agent that is heard of again goes on with its build, if nobody else was given it: no fault", async () => {
      const given = await give();
      assert.equal(await stateAfter(given, 61), "expired");
      assert.deepEqual(await standing(given.build.id), ["queued", given.session.id, 1, "a", 1, 0]);
      const told = new ChangeWaiter(controller.changes, ["state"]);
      assert.deepEqual(await sendSigns(given, 0), { status: 204, ended: [] });
      assert.deepEqual(told.take(), [given.build.id]);
      told[Symbol.dispose]();
      assert.deepEqual(await standing(given.build.id), ["building", given.session.id, 0, null, 0, 1]);
      const [attempt] = await controller.sessions.of(given.build.id);
      assert.deepEqual([attempt!.state, attempt!.fault, attempt!.ended_at], ["active", null, null]);
      assert.equal(await stateAfter(given, 50), "active");
      assert.equal(await stateAfter(given, 11), "expired");
      const other = await take("b");
      await sign(given);
      assert.equal((await controller.sessions.find(given.session.token))!.state, "expired");
      assert.deepEqual(await standing(given.build.id), ["building", other.session.id, 1, "a", 0, 1]);
    });

    test("of an agent that comes back and one that asks, one has the build, whoever is first", async () => {
      const won = { former: 0, latter: 0 };
      for (let count = 0; count < 20; count++) {
        const former = await give("a");
        assert.equal(await stateAfter(former, 61), "expired");
        const offer = { agent: "b", toolchain: "default", interactive: "both", machines: ["m"] } as const;
        const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
        const [latter] = await Promise.all([
          later(40 + count).then(() => controller.sessions.assign(offer, 60)),
          sign(former), // written 50 ms later
        ]);
        const back = (await controller.sessions.find(former.session.token))!.state === "active";
        assert.equal(back, latter === undefined);
        const has = latter?.session.id ?? former.session.id;
        assert.deepEqual((await standing(former.build.id)).slice(0, 2), ["building", has]);
        assert.deepEqual((await standing(former.build.id)).slice(4), [0, 1]);
        won[back ? "former" : "latter"]++;
        assert.equal(await end(former, "success"), "stored");
      }
      assert.equal(won.former + won.latter, 20);
    });

    test("a machine that has built for longer than it may does not get its build back, but a result does", async () => {
      const given = await give();
      await query("update croft.sessions set expires_at = now()");
      assert.equal(await stateAfter(given), "expired");
      await sign(given);
      assert.equal(await stateAfter(given), "expired");
      await sign(given, "delivering");
      assert.equal(await stateAfter(given), "active");
      assert.equal(await stateAfter(given, 3590), "active");
    });

    test("an agent is told of its session as soon as the build is cancelled, and of one that nobody knows", async () => {
      const given = await give();
      const asked = sendSigns(given, 15);
      await until(() => isHeard(given), "the sign");
      await controller.builds.cancel(given.build.id);
      assert.deepEqual(await asked, {
        status: 200,
        ended: [{ session: given.session.token, state: "cancelled" }],
      });
      const unknown = { ...given, session: { ...given.session, token: "nobody" } };
      assert.deepEqual((await sendSigns(unknown, 15)).ended, [{ session: "nobody", state: "unknown" }]);
      assert.deepEqual(await sendSigns(await give(), 0), { status: 204, ended: [] });
    });

    // The last one: it is suspected for two minutes.
    test("when many fall silent at once, none is given up at once", async () => {
      const given = [];
      for (let count = 0; count < 6; count++) given.push(await give(`host-${count}`));
      await pass(61);
      for (const heard of given.slice(0, 3)) await sign(heard);
      assert.equal(await stateAfter(given[5]!), "active");
      for (const heard of given.slice(0, 5)) await sign(heard);
      assert.equal(await stateAfter(given[5]!), "active", "it is suspected for two minutes");
    });

    async function isHeard({ session }: Assignment): Promise<boolean> {
      const [row] = await controller.database.query<{ heard: boolean }>(
        "select signs_until > created_at + interval '60.001 seconds' as heard from croft.sessions where id = $1",
        [session.id],
      );
      return row!.heard;
    }

    async function sendSigns({ session }: Assignment, waitSeconds: number) {
      const response = await fetch(`${server.url}/agent/alive`, {
        method: "POST",
        headers: { "content-type": "text/manifest", prefer: `wait=${waitSeconds}` },
        body: new Uint8Array(formatSigns([{ session: session.token, phase: "building" }])),
      });
      const body = new Uint8Array(await response.arrayBuffer());
      return { status: response.status, ended: body.length === 0 ? [] : parseEndedSessions(body) };
    }
  });
