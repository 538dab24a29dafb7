/** What an agent reports that was performed by one before it, which was killed. */
import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { Result } from "../../../manifests/result.ts";
import { parseResultRequest } from "../../../manifests/result-request.ts";
import { FakeController } from "../fake-controller.ts";
import { AgentHome, resultText, task } from "../running-agent.ts";

/** Has a machine upload a result whose agent is dead, and so many others, too, that looked at it. */
async function recovered(text: string, tries: number): Promise<Result> {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  let given = false;
  controller.answer = ({ path }) => {
    if (!path.startsWith("/task")) return { status: 204 };
    const body = given
      ? ": 1\nsession:\n"
      : `: 1\nsession: s\nresult-url: ${controller.url("/result")}\n:\n${task}`;
    given = true;
    return { body };
  };
  const first = home.start([controller.url("/task")]);
  await controller.requests("/task", 1);
  await home.readTask();
  first.child.kill("SIGKILL");
  await first.ended;
  const spool = home.at("spool", "default-1");
  const entry = readdirSync(spool).find((name) => /^\d{8}T/.test(name))!;
  writeFileSync(home.at("tftp", "build", "default-1", "put", "result.manifest"), text);
  writeFileSync(`${spool}/${entry}/recovery`, ".".repeat(tries));
  const second = home.start([controller.url("/task")]);
  const [sent] = await controller.requests("/result", 1);
  second.child.kill("SIGTERM");
  assert.equal((await second.ended).status, 0);
  assert.deepEqual(readdirSync(spool), ["lock"]);
  return parseResultRequest(sent!.body).result;
}

for (const [tries, status] of [
  [2, "success"],
  [3, "interrupt"],
] as const)
  test(`a complete result that ${tries} agents have died of is reported as ${status}`, async () => {
    assert.equal((await recovered(resultText(), tries)).status, status);
  });

test("a result of a worker that failed too early to tell is reported for the task's name and version", async () => {
  const text = resultText("error", "unknown").replace("version: 1.0", "version: 0");
  const { name, version, status } = await recovered(text, 0);
  assert.deepEqual([name, version, status], ["hello", "1.0", "error"]);
});
