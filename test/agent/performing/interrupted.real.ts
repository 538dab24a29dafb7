/** The side of the task that gives way: what SIGUSR1 does to an agent, and when nothing. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { parseResultRequest } from "../../../manifests/result-request.ts";
import { FakeController } from "../fake-controller.ts";
import { AgentHome, resultText, task } from "../running-agent.ts";

function response(controller: FakeController, session: string): string {
  return `: 1\nsession: ${session}\nresult-url: ${controller.url("/result")}\n:\n${task}`;
}

test("a task that is interrupted is reported as such at once, and the agent asks for the next", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  let given = 0;
  controller.answer = ({ path }) => {
    if (path === "/result") return { status: 204 };
    return { body: given++ < 2 ? response(controller, `s${given}`) : ": 1\nsession:\n" };
  };
  const agent = home.start(["--verbose", "2", `0012=${controller.url("/task")}`]);
  await home.readTask();
  agent.child.kill("SIGUSR1");
  const [first] = await controller.requests("/result", 1);
  const { session, result } = parseResultRequest(first!.body);
  assert.deepEqual(
    [session, result.status, result.operations[0]!.log],
    ["s1", "interrupt", "a task of higher priority needs the machine\n"],
  );
  await home.upload(resultText());
  const [, second] = await controller.requests("/result", 2);
  assert.equal(parseResultRequest(second!.body).result.status, "success");
  agent.child.kill("SIGTERM");
  const { status, stderr } = await agent.ended;
  assert.equal(status, 0, stderr);
  assert.match(stderr, /MILESTONE: task interrupted .*"machine":"m".*"priority":12/);
  assert.deepEqual(readdirSync(home.at("spool", "default-1")), ["lock"]);
});

test("SIGUSR1 is ignored while there is no task, and once the machine has sent its result", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  const [gives, delivered] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const delivering = Promise.withResolvers<void>();
  let given = false;
  controller.answer = async ({ path }) => {
    if (path === "/result") {
      delivering.resolve();
      await delivered.promise;
      return { status: 204 };
    }
    if (given || controller.received.length < 2) return { body: ": 1\nsession:\n" };
    given = true;
    gives.resolve();
    return { body: response(controller, "s1") };
  };
  const agent = home.start(["--verbose", "2", controller.url("/task")]);
  await controller.requests("/task", 1);
  agent.child.kill("SIGUSR1"); // it sleeps
  await gives.promise;
  await home.upload(resultText());
  await delivering.promise;
  agent.child.kill("SIGUSR1");
  delivered.resolve();
  const asked = controller.received.length;
  const [sent] = await controller.requests("/result", 1);
  assert.equal(parseResultRequest(sent!.body).result.status, "success");
  await controller.requests("/task", asked + 1);
  agent.child.kill("SIGTERM");
  const { status, stderr } = await agent.ended;
  assert.equal(status, 0, stderr);
  assert.doesNotMatch(stderr, /interrupted/);
});
