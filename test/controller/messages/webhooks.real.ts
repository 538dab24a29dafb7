/** Webhooks that tell of builds, to a receiver that checks what it is sent. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { databaseKinds } from "../in-process.ts";
import { until } from "../until.ts";
import { openMessageFarm, type MessageFarm } from "./farm.ts";
import { startReceiver, type ReceiverDouble } from "./receiver-double.ts";

for (const [kind, skip] of databaseKinds)
  describe(`webhooks, with the database ${kind}`, { skip }, () => {
    const resources = new AsyncDisposableStack();
    let farm: MessageFarm;
    let receiver: ReceiverDouble;
    before(async () => {
      receiver = resources.use(await startReceiver());
      const hook = (name: string, path: string, more: string) =>
        `  - { name: ${name}, kind: webhook, url: "${receiver.url}${path}", secret-file: SECRET, ${more} }\n`;
      farm = resources.use(
        await openMessageFarm(
          kind,
          `tokens: [{ name: ann, role: admin, sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 }]
retries: 0
notifications:
${hook("all", "/signed/all", "packages: ['*'], local: true, events: [queued, building, ended, changed]")}${hook("hello", "/signed/hello", "packages: [hello], local: true")}${hook("strict", "/signed/strict", "packages: [strict]")}${hook("inside", "/signed/inside", "packages: [hidden], private: true, local: true")}`,
        ),
      );
    });
    after(() => resources.disposeAsync());

    const eventsAt = (path: string) =>
      receiver.taken
        .filter((one) => one.path === path)
        .map(
          ({ body }) =>
            JSON.parse(body) as { event: string; change?: string; build: { id: number; name: string } },
        );
    const api = async (path: string, method = "GET") => {
      const answer = await fetch(`${farm.url}/api/v1/deliveries${path}`, {
        method,
        headers: { authorization: "Bearer test" },
      });
      return { status: answer.status, json: (await answer.json()) as Record<string, never> };
    };
    const list = async (query: string) =>
      (await api(`?${query}`)).json["deliveries"] as unknown as {
        id: number;
        build: number;
        notification: string;
        state: string;
        trouble: string | null;
        tries: number;
      }[];

    test("are told of each state, signed, also of what happened before they could be sent", async () => {
      const id = await farm.build("hello", "error");
      await using _sending = farm.start();
      await until(async () => eventsAt("/signed/all").length === 4, "four messages");
      assert.deepEqual(
        eventsAt("/signed/all")
          .map(({ event, change, build }) => `${event} ${change ?? ""} ${build.id}`)
          .sort(),
        [`building  ${id}`, `changed broken ${id}`, `ended  ${id}`, `queued  ${id}`],
      );
      await until(async () => eventsAt("/signed/hello").length === 1, "the other one's");
      const body = eventsAt("/signed/hello")[0] as unknown as { build: { url: string; status: string } };
      assert.deepEqual([body.build.url, body.build.status], [`https://farm.example/builds/${id}`, "error"]);
      // What is being sent when a controller ends is sent once more.
      await until(async () => (await list("state=open")).length === 0, "the notes of all answers");
    });

    test("are sent again after refusals and silence, with the same body; a receiver that stalls holds up nobody else", async () => {
      let stalled = 0;
      receiver.instead.push(
        (response) => response.writeHead(500).end("no"),
        (response) => response.destroy(),
        () => stalled++,
      );
      await using _sending = farm.start(1);
      const id = await farm.build("slow", "success");
      // Each pause is shortened, and nothing else.
      await until(async () => {
        await farm.controller.database.query(
          "update croft.deliveries set due_at = now() where state = 'open'",
        );
        farm.controller.deliveries.nudge();
        const all = await list(`build=${id}`);
        return all.length === 3 && all.every(({ state }) => state === "delivered");
      }, "all deliveries");
      assert.equal(stalled, 1);
      const tried = receiver.received.filter(({ body }) => body.includes(`"id":${id},`));
      const byId = Map.groupBy(tried, ({ headers }) => headers["webhook-id"]);
      for (const tries of byId.values()) assert.equal(new Set(tries.map(({ body }) => body)).size, 1);
      assert.equal(tried.length, byId.size + 3);
      const failed = (await list(`build=${id}`)).filter(({ tries }) => tries > 1);
      const whole = (await api(`/${failed[0]!.id}`)).json as unknown as {
        attempts: { trouble: string | null }[];
      };
      assert.ok(whole.attempts.length >= 2 && whole.attempts.at(-1)!.trouble === null);
    });

    test("never go to this host, nor where a receiver leads them, unless the configuration says so", async () => {
      await using _sending = farm.start();
      const before = receiver.received.length;
      const id = await farm.build("strict", "success");
      await until(async () => {
        const all = await list(`build=${id}`);
        return all.length === 4 && all.every(({ state }) => state !== "open");
      }, "the refusal");
      const [refused] = await list(`build=${id}&notification=strict`);
      assert.match(refused!.trouble!, /127\.0\.0\.1 is of this host/);
      assert.ok(!receiver.received.slice(before).some(({ path }) => path === "/signed/strict"));
      receiver.instead.push((response) =>
        response.writeHead(307, { location: `${receiver.url}/elsewhere` }).end(),
      );
      const other = await farm.build("hello", "success");
      await until(
        async () => (await list(`build=${other}`)).some(({ trouble }) => /answered 307/.test(trouble ?? "")),
        "the refusal to follow",
      );
      assert.ok(!receiver.received.some(({ path }) => path === "/elsewhere"));
    });

    test("are listed and sent again by administrators only", async () => {
      await using _sending = farm.start();
      assert.equal((await fetch(`${farm.url}/api/v1/deliveries`)).status, 401);
      const [failed] = await list("notification=strict&state=failed");
      assert.equal((await api(`/${failed!.id}/redeliver`, "POST")).status, 202);
      await until(async () => {
        const { json } = await api(`/${failed!.id}`);
        return (json["attempts"] as unknown as unknown[]).length === 2;
      }, "the second try");
      assert.equal((await api("/999999/redeliver", "POST")).status, 404);
    });

    test("tell of private builds only where that is configured", async () => {
      const { database, builds } = farm.controller;
      const usual = { version: "0", repository: "https://x.org/a.git", targets: ["*"], priority: 0 };
      const [build] = await builds.submit({ name: "hidden", ...usual }, null);
      await database.query("update croft.builds set is_private = true where id = $1", [build!.id]);
      await builds.cancel(build!.id);
      const next = await farm.build("hidden", "success");
      await using _sending = farm.start();
      await until(async () => (await list(`build=${next}`)).length === 4, "what came after it");
      const told = await list(`build=${build!.id}`);
      assert.deepEqual(
        told.map(({ notification }) => notification),
        ["inside"],
      );
    });
  });
