/** The pages of what forges told of: who sees and presses which button, and what comes of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { packageFile } from "../../../os/files/package.ts";
import { run } from "../../../os/run.ts";
import { Visitor } from "../dashboard/visitor.ts";
import { openHookFarm } from "./farm.ts";
import { commitA, commitB, githubDouble, sendHook } from "./payloads.ts";

const fork = {
  kind: "pull-request",
  reference: "7",
  from: "eve/hello",
  subject: "Say <b>hello</b>",
} as const;

test("a fork's pull request is approved or refused on its page by who has the role, and by nobody else", async () => {
  await using farm = await openHookFarm("embedded");
  const { tokens, forgeEvents } = farm.controller;
  const people = { reader: "read", ann: "submit", bob: "trusted" } as const;
  const visitors = new Map<string, Visitor>([["stranger", new Visitor(farm.url)]]);
  for (const [name, role] of Object.entries(people)) {
    const visitor = new Visitor(farm.url);
    await visitor.signIn(await tokens.create(name, role));
    visitors.set(name, visitor);
  }
  const first = (await sendHook(farm.url, githubDouble, fork)).answer.event!;
  for (const [name, visitor] of visitors) {
    const { status, text } = await visitor.get(`/events/${first}`);
    assert.equal(status, 200);
    assert.match(text, /Say &lt;b&gt;hello&lt;\/b&gt;/);
    assert.equal(text.includes(`/events/${first}/approve`), name === "bob", name);
    if (name === "bob") continue;
    const form = await visitor.form();
    const refused = (await visitor.send(`/events/${first}/approve`, { form })).status;
    assert.equal(refused, name === "stranger" ? 401 : 403, name);
  }
  const bob = visitors.get("bob")!;
  assert.match((await bob.get("/events")).text, /waits for approval/);
  assert.equal((await bob.send(`/events/${first}/approve`, {})).status, 403);
  const form = await bob.form(`/events/${first}`);
  assert.equal((await bob.send(`/events/${first}/approve`, { form })).to, `/events/${first}`);
  const [build] = await forgeEvents.buildsOf(first);
  assert.match((await bob.get(`/events/${first}`)).text, new RegExp(`href="/builds/${build!.id}"`));
  assert.equal((await forgeEvents.find(first))!.trusted, false);
  assert.equal((await bob.send(`/events/${first}/reject`, { form })).status, 409);
  assert.equal((await bob.send("/events/999/reject", { form })).status, 404);

  const second = (await sendHook(farm.url, githubDouble, { ...fork, reference: "8", commit: commitB })).answer
    .event!;
  assert.equal((await bob.send(`/events/${second}/reject`, { form })).status, 303);
  assert.deepEqual(await forgeEvents.buildsOf(second), []);

  // On a terminal
  const third = (await sendHook(farm.url, githubDouble, { ...fork, reference: "9", commit: commitA })).answer
    .event!;
  const token = await tokens.create("carl", "trusted");
  const types = async (...argv: string[]) => {
    const command = [process.execPath, packageFile("bin", "main.ts"), "approvals"];
    const argvs = [...command, "--controller", farm.url, "--token", token, ...argv];
    return (await run(argvs, { timeoutSeconds: 300 })).stdout;
  };
  assert.match(await types(), new RegExp(`^${third}  github 9  a{12}  bob \\(eve/hello\\)`));
  assert.match(await types("approve", String(third)), new RegExp(`^${third}: approved: #\\d+\n$`));
  assert.equal(await types(), "nothing waits for approval\n");
});
