/** A private build is not there for whoever has no token: every route that there is says so, and none changes it. */
import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import type { Offer } from "../../../controller/builds/offer.ts";
import type { OpenController } from "../../../controller/controller.ts";
import { makeKey, writeKeys } from "../authentication/proof.ts";
import { routes } from "../authentication/route-table.ts";
import { Visitor } from "../dashboard/visitor.ts";
import { openHookFarm, type HookFarm } from "../forges/farm.ts";
import { doubles, sendHook } from "../forges/payloads.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

const repository = "https://quiet.example/quietly.git";
const subject = "Unheard of subject";
/** What is another one each time: values of forms, times, what a process needs. */
const changing = /value="[^"]+"|\d+s|^#.*|^process_.*|\d+\.\d+|\d+-\d+-\d+[ T][\d:.]+|_seconds.*/gm;
/** Whatever tells of the private build, its event or its repository. */
const telling = /quietly|quiet\.example|Unheard of|DEPLOY_KEY/;

describe("a controller that anybody may use, with private builds", () => {
  const resources = new AsyncDisposableStack();
  let farm: HookFarm;
  let controller: OpenController;
  let id = 0;
  let event = 0;
  let openEvent = 0;
  let readerToken = "";
  before(async () => {
    const [githubDouble, gitlabDouble] = doubles as [(typeof doubles)[0], (typeof doubles)[0]];
    const { path } = resources.use(await temporaryDirectory("croft-test-strangers-"));
    const ofPushes = (name: string) => (name === "github" ? "branches: [main], secrets: [DEPLOY_KEY]" : "");
    const whole = `targets: [{ name: one }]\nagents: { keys: ${writeKeys(path, makeKey())} }\n`;
    farm = resources.use(await openHookFarm("embedded", ofPushes, whole));
    ({ controller } = farm);
    await controller.vault.setCredential({
      url: "https://quiet.example/",
      user: "bot",
      password: "pass-word-1234",
    });
    await controller.vault.setSecret("DEPLOY_KEY", "", "correct-horse-battery");
    const what = { name: "quietly", version: "1.0", repository, targets: ["one"], priority: 0 };
    id = (await controller.builds.submit(what, "ann", { isKnown: true, isTrusted: true }))[0]!.id;
    const push = { kind: "push", reference: "main", subject } as const;
    event = (await sendHook(farm.url, githubDouble, push)).answer.event!;
    openEvent = (await sendHook(farm.url, gitlabDouble, { ...push, subject: "Heard of" })).answer.event!;
  });
  after(() => resources.disposeAsync());

  /** The paths of a route that lead to what is private, or to lists that might have it. */
  const pathsOf = (path: string, number: number | string) =>
    path
      .replace("/events/:id", `/events/${number === id ? event : 987}`)
      .replace("/approvals/:id", `/approvals/${number === id ? event : 987}`)
      .replace(":id", String(number))
      .replace(":attempt/:ordinal", "1/0")
      .replace(":file", "quietly.svg")
      .replace(":digest/*", `${"0".repeat(64)}/x`)
      .replace("/docs/*", "/docs/concepts");

  async function ask(method: string, path: string, accept: string, init: RequestInit = {}) {
    const abort = new AbortController();
    const headers = { accept, ...(init.headers as Record<string, string>) };
    const answer = await fetch(farm.url + path, {
      ...init,
      method,
      headers,
      redirect: "manual",
      signal: abort.signal,
    });
    const isStream = answer.headers.get("content-type")?.startsWith("text/event-stream") === true;
    const text = isStream ? "" : await answer.text();
    abort.abort();
    return { status: answer.status, text };
  }

  for (const accept of ["application/json", "text/html"])
    test(`nothing that is read tells of them to who has no token (${accept})`, async () => {
      for (const [route, whom] of Object.entries(routes)) {
        const [method, path] = route.split(" ") as [string, string];
        if (method !== "GET" || whom === "agent") continue;
        const hidden = await ask(method, pathsOf(path, id), accept);
        assert.doesNotMatch(hidden.text, telling, route);
        if (!/\/(?:builds|events|approvals)\/:id/.test(path)) continue;
        const absent = await ask(method, pathsOf(path, 987), accept);
        const numbers = (text: string) => text.replaceAll(/\b(?:987|\d{1,2})\b/g, "N");
        assert.deepEqual([hidden.status, numbers(hidden.text)], [404, numbers(absent.text)], route);
      }
    });

  test("in no spelling of its number", async () => {
    for (const spelling of [
      `${id}.0`,
      `${id}e0`,
      `0${id}`,
      `0x${id}`,
      `+${id}`,
      `%20${id}`,
      `${id}%20`,
      `%0a${id}`,
    ])
      for (const path of [
        "/api/v1/builds/ID",
        "/api/v1/builds/ID/log",
        "/builds/ID",
        "/api/v1/builds/ID/events",
      ]) {
        const { status, text } = await ask("GET", path.replace("ID", spelling), "application/json");
        assert.ok(status === 404 || status === 400, `${path} ${spelling}: ${status}`);
        assert.doesNotMatch(text, telling);
      }
  });

  test("nor do counts", async () => {
    const { text } = await ask("GET", "/metrics", "text/plain");
    const values = Object.fromEntries(
      [...text.matchAll(/^(croft_(?:builds|target_queued)\{[^}]*\}) (\d+)$/gm)].map(([, name, value]) => [
        name,
        value,
      ]),
    );
    // That of the open event
    assert.equal(values['croft_builds{state="queued"}'], "1");
    assert.equal(values['croft_target_queued{target="one"}'], "1");
    const targets = JSON.parse((await ask("GET", "/api/v1/targets", "application/json")).text) as {
      targets: { queued: number; oldest: { id: number } }[];
    };
    const [openBuild] = await controller.forgeEvents.buildsOf(openEvent);
    assert.deepEqual(
      targets.targets.map(({ queued, oldest }) => [queued, oldest.id]),
      [[1, openBuild!.id]],
    );
    assert.match((await ask("GET", "/builds", "text/html")).text, /Queued <span class="count">1</);
    readerToken = await controller.tokens.create("reader", "read");
    const headers = { authorization: `Bearer ${readerToken}` };
    const all = await ask("GET", "/metrics", "text/plain", { headers });
    assert.match(all.text, /^croft_builds\{state="queued"\} 3$/m);
    await controller.tokens.revoke("reader");
  });

  test("a change of them is told to nobody", async () => {
    const abort = new AbortController();
    const stream = await fetch(`${farm.url}/api/v1/events`, { signal: abort.signal });
    const [openBuild] = await controller.forgeEvents.buildsOf(openEvent);
    await controller.builds.pin(id, true);
    await controller.builds.pin(openBuild!.id, true);
    let said = "";
    for await (const piece of stream.body!) {
      said += Buffer.from(piece).toString();
      if (said.includes("event: build")) break;
    }
    abort.abort();
    assert.deepEqual(
      [...said.matchAll(/"id":(\d+)/g)].map(([, one]) => Number(one)),
      [openBuild!.id],
    );
    await controller.builds.pin(id, false);
  });

  test("nothing is done to them, by whatever route, though anybody may change what is open", async () => {
    const visitor = new Visitor(farm.url);
    const form = await visitor.form("/submit");
    const before = JSON.stringify([
      await controller.builds.find(id),
      await controller.forgeEvents.find(event),
    ]);
    for (const [route, whom] of Object.entries(routes)) {
      const [method, path] = route.split(" ") as [string, string];
      if (method === "GET" || !path.includes(":id")) continue;
      const at = pathsOf(path, id);
      const { status, text } =
        whom === "form" ? await visitor.send(at, { form }) : await ask(method, at, "application/json");
      assert.ok(status === 404 || status === 401 || status === 403, `${route}: ${status}`);
      if (whom === "submitter") assert.equal(status, 404, route);
      assert.doesNotMatch(text, telling, route);
    }
    assert.equal(
      JSON.stringify([await controller.builds.find(id), await controller.forgeEvents.find(event)]),
      before,
    );
    const [openBuild] = await controller.forgeEvents.buildsOf(openEvent);
    assert.equal(
      (await ask("POST", `/api/v1/builds/${openBuild!.id}/cancel`, "application/json")).status,
      200,
    );
    assert.equal((await controller.builds.list({ limit: 10 })).length, 3, "nothing was built again");
  });

  test("an agent that builds one is what it was before, until it is not heard of any more", async () => {
    const { agents, sessions, database } = controller;
    const [waits] = await controller.builds.submit(
      { name: "loud", version: "1.0", repository: "https://x.org/loud.git", targets: ["one"], priority: -1 },
      null,
    );
    const offer: Offer = {
      ...{ agent: "smith", toolchain: "default", interactive: "false" as const, machines: ["debian"] },
      mayHavePrivate: true,
    };
    agents.asked(offer, "1.0.0", true);
    // Nothing that is open is in its way.
    for (const one of await controller.builds.list({ state: "queued", publicOnly: true, limit: 10 }))
      if (one.id !== waits!.id) await controller.builds.cancel(one.id);
    const shown = async () => {
      const texts: [string, string][] = [];
      for (const [route, whom] of Object.entries(routes)) {
        const [method, path] = route.split(" ") as [string, string];
        if (method !== "GET" || whom === "agent" || /^\/(?:docs|static)/.test(path)) continue;
        const { text } = await ask(method, pathsOf(path, waits!.id), "text/html");
        texts.push([route, text.replaceAll(changing, "")]);
      }
      return texts;
    };
    const before = await shown();
    const { build } = (await sessions.assign(offer))!;
    assert.equal(build.is_private, true);
    agents.asked(offer, "1.0.0", false);
    assert.deepEqual(await shown(), before);
    assert.equal((await agents.list()).find(({ name }) => name === "smith")!.state, "building");
    await agents.write();
    await database.query("update croft.agents set heard_at = now() - interval '1 hour'");
    const later = JSON.stringify(await shown());
    assert.doesNotMatch(later, /busy|building<|1 build/);
    assert.match(later, /not heard of any more: smith/);
    const known = { headers: { authorization: `Bearer ${await controller.tokens.create("wil", "read")}` } };
    const told = await ask("GET", `/api/v1/builds/${waits!.id}`, "application/json", known);
    assert.match(told.text, /all agents that could build it are busy \(1\)/);
  });

  test("who follows one with a token that is revoked, or a session of it, hears no more", async () => {
    const headers = { authorization: `Bearer ${await controller.tokens.create("zoe", "read")}` };
    const visitor = new Visitor(farm.url);
    await visitor.signIn(await controller.tokens.create("zed", "read"));
    const stopped = new AbortController();
    const open: [string, Promise<unknown>][] = [];
    for (const [route, whom] of Object.entries(routes))
      for (const by of [headers, { cookie: visitor.cookie }]) {
        const [method, path] = route.split(" ") as [string, string];
        if (method !== "GET" || whom !== "reader") continue;
        const init = {
          headers: { accept: "text/html", ...by },
          signal: stopped.signal,
          redirect: "manual",
        } as const;
        const answer = await fetch(farm.url + pathsOf(path, id), init);
        if (answer.headers.get("content-type")?.startsWith("text/event-stream") !== true) await answer.text();
        else open.push([route, text(answer.body!).catch((error: unknown) => error)]);
      }
    const streams = ["GET /builds/:id/live", "GET /api/v1/builds/:id/events", "GET /api/v1/events"];
    assert.deepEqual(
      open.map(([route]) => route),
      streams.flatMap((route) => [route, route]),
    );
    await controller.tokens.revoke("zoe");
    await controller.tokens.revoke("zed");
    const patience = setTimeout(() => stopped.abort(), patienceMs / 2);
    await Promise.all(open.map(([, end]) => end));
    clearTimeout(patience);
    assert.equal(stopped.signal.aborted, false, "they end by themselves");
  });

  test("who has a token sees them, and what a forge told of them", async () => {
    const visitor = new Visitor(farm.url);
    await visitor.signIn(await controller.tokens.create("bob", "read"));
    assert.equal((await visitor.get(`/builds/${id}`)).status, 200);
    assert.match((await visitor.get("/events")).text, /Unheard of subject/);
    assert.equal((await visitor.get(`/events/${event}`)).status, 200);
  });
});
