/** The agent's loop against controllers on real sockets; the machine is a fake one, its files go over real TFTP. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { run } from "../../os/run.ts";
import { parseResultRequest } from "../../manifests/result-request.ts";
import { parseTaskRequest } from "../../manifests/task-request.ts";
import { FakeController } from "./fake-controller.ts";
import { AgentHome, resultText, task } from "./running-agent.ts";

/** A response with a task whose result goes to `/result`. */
function taskResponse(controller: FakeController, session: string, extra = ""): string {
  return `: 1\nsession: ${session}\nresult-url: ${controller.url("/result")}\n${extra}:\n${task}`;
}

/** Gives one task, then none; accepts results unless told otherwise. */
function giveOnce(
  controller: FakeController,
  response: () => string,
  result: () => { status: number; body?: string } = () => ({ status: 204 }),
): void {
  let given = false;
  controller.answer = ({ path }) => {
    if (!path.startsWith("/task")) return result();
    if (given) return { body: ": 1\nsession:\n" };
    given = true;
    return { body: response() };
  };
}

test("a task goes from controller to machine, and its result back", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  giveOnce(controller, () => taskResponse(controller, "s1"));
  const agent = home.start([controller.url("/task")]);
  const [request] = await controller.requests("/task", 1);
  assert.equal(request!.headers["content-type"], "text/manifest");
  const offered = parseTaskRequest(request!.body);
  assert.deepEqual(offered.machines, [{ id: "m-1", name: "m", summary: "A machine" }]);
  await home.upload(resultText());
  const [sent] = await controller.requests("/result", 1);
  const answer = parseResultRequest(sent!.body);
  assert.equal(answer.session, "s1");
  assert.equal(answer.result.status, "success");
  agent.child.kill("SIGTERM");
  assert.equal((await agent.ended).status, 0);
  assert.deepEqual(readdirSync(home.at("spool", "default-1")), ["lock"]);
});

test("controllers are asked in the order of their priorities, and one that is down does not keep the next from being asked", async () => {
  await using home = await AgentHome.make();
  await using low = await FakeController.start();
  await using high = await FakeController.start();
  const order: string[] = [];
  for (const [name, controller] of [
    ["low", low],
    ["high", high],
  ] as const)
    controller.answer = () => (order.push(name), { body: ": 1\nsession:\n" });
  const down = "http://127.0.0.1:1/task";
  const agent = home.start([
    "--request-retries",
    "0",
    `0001=${low.url("/task")}`,
    `0100=${high.url("/task")}`,
    `0900=${down}`,
  ]);
  await low.requests("/task", 2);
  assert.deepEqual(order.slice(0, 4), ["high", "low", "high", "low"]);
  agent.child.kill("SIGTERM");
  const { stderr } = await agent.ended;
  assert.match(stderr, /controller skipped for a while .*127\.0\.0\.1:1/);
});

for (const [what, response, reason] of [
  ["no manifest", "<html>a proxy's page</html>", /task response refused .*1:\d+/],
  ["a challenge without a key", "CHALLENGE", /it has a challenge, but there is no key/],
  ["a machine that was not offered", "OTHER", /machine 'other' was not offered/],
  ["a local repository", "LOCAL", /repository '\/srv\/hello' is local/],
  ["an interactive task", "INTERACTIVE", /it is interactive/],
  ["a session and nothing else", ": 1\nsession: s\n", /task response refused|no task/],
] as [string, string, RegExp][])
  test(`a response with ${what} is refused with one clear error, and the agent goes on`, async () => {
    await using home = await AgentHome.make();
    await using controller = await FakeController.start();
    const texts: Record<string, () => string> = {
      CHALLENGE: () => taskResponse(controller, "s", "challenge: prove it\n"),
      OTHER: () => taskResponse(controller, "s").replace("machine: m", "machine: other"),
      LOCAL: () =>
        taskResponse(controller, "s").replace(
          /repository-url: .*/,
          "repository-url: /srv/hello\nrepository-type: git",
        ),
      INTERACTIVE: () => `${taskResponse(controller, "s")}interactive: error\n`,
    };
    giveOnce(controller, texts[response] ?? (() => response));
    const agent = home.start(["--verbose", "5", controller.url("/task")]);
    await controller.requests("/task", 2); // it asks again
    agent.child.kill("SIGTERM");
    const { status, stderr } = await agent.ended;
    assert.equal(status, 0);
    assert.match(stderr, reason);
    assert.equal(stderr.split("\n").filter((line) => /ERROR/.test(line)).length <= 1, true, stderr);
  });

test("a controller that is down at the moment of the result gets it later, also from the next agent", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  let up = false;
  giveOnce(
    controller,
    () => taskResponse(controller, "s2"),
    () => (up ? { status: 204 } : { status: 503, body: "down" }),
  );
  const first = home.start(["--request-retries", "0", controller.url("/task")]);
  await home.upload(resultText());
  await controller.requests("/result", 2);
  first.child.kill("SIGKILL");
  await first.ended;
  const tried = controller.received.filter(({ path }) => path === "/result").length;
  up = true;
  const second = home.start([controller.url("/task")]);
  const all = await controller.requests("/result", tried + 1);
  assert.equal(parseResultRequest(all.at(-1)!.body).result.status, "success");
  await controller.requests("/task", 2);
  second.child.kill("SIGTERM");
  await second.ended;
  assert.deepEqual(readdirSync(home.at("spool", "default-1")), ["lock"]);
});

test("a result that the controller refuses is kept aside with the answer", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  giveOnce(
    controller,
    () => taskResponse(controller, "s3"),
    () => ({ status: 410, body: "session superseded" }),
  );
  const agent = home.start([controller.url("/task")]);
  await home.upload(resultText());
  await controller.requests("/result", 1);
  await controller.requests("/task", 2);
  agent.child.kill("SIGTERM");
  assert.equal((await agent.ended).status, 0);
  const rejected = home.at("spool", "default-1", "rejected");
  const [entry] = readdirSync(rejected);
  assert.match(readFileSync(`${rejected}/${entry}/answer`, "utf8"), /^410\nsession superseded/);
  assert.equal(parseResultRequest(readFileSync(`${rejected}/${entry}/result.manifest`)).session, "s3");
});

test("an agent killed while a task runs: the next one reports interrupt", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  giveOnce(controller, () => taskResponse(controller, "s4"));
  const first = home.start(["--verbose", "2", controller.url("/task")]);
  await controller.requests("/task", 1);
  await home.readTask();
  first.child.kill("SIGKILL");
  await first.ended;
  const second = home.start([controller.url("/task")]);
  const [sent] = await controller.requests("/result", 1);
  assert.equal(parseResultRequest(sent!.body).result.status, "interrupt");
  second.child.kill("SIGTERM");
  await second.ended;
});

test("an agent killed after the machine had sent its result: the next one reports that", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  // The agent is stopped while it sees the upload come in, so it dies between the two statements.
  giveOnce(controller, () => taskResponse(controller, "s5"));
  const first = home.start([controller.url("/task")]);
  await home.readTask();
  first.child.kill("SIGKILL");
  await first.ended;
  writeFileSync(home.at("tftp", "build", "default-1", "put", "result.manifest"), resultText("warning"));
  const second = home.start([controller.url("/task")]);
  const [sent] = await controller.requests("/result", 1);
  const answer = parseResultRequest(sent!.body);
  assert.equal(answer.session, "s5");
  assert.equal(answer.result.status, "warning");
  second.child.kill("SIGTERM");
  await second.ended;
});

test("SIGTERM while a task runs reports interrupt and leaves nothing", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  giveOnce(controller, () => taskResponse(controller, "s6"));
  const agent = home.start([controller.url("/task")]);
  await home.readTask();
  agent.child.kill("SIGTERM");
  const [sent] = await controller.requests("/result", 1);
  assert.equal(parseResultRequest(sent!.body).result.status, "interrupt");
  assert.equal((await agent.ended).status, 0);
  assert.deepEqual(readdirSync(home.at("spool", "default-1")), ["lock"]);
  assert.equal(existsSync(home.at("tftp", "build", "default-1", "put")), false);
});

test("an unreadable result is abnormal; the next task is performed", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  let given = 0;
  controller.answer = ({ path }) =>
    !path.startsWith("/task")
      ? { status: 204 }
      : { body: given++ < 2 ? taskResponse(controller, `s${given}`) : ": 1\nsession:\n" };
  const agent = home.start([controller.url("/task")]);
  await home.upload("no manifest at all\n");
  await controller.requests("/result", 1);
  await home.upload(resultText());
  const sent = await controller.requests("/result", 2);
  const statuses = sent.map(({ body }) => parseResultRequest(body).result.status);
  assert.deepEqual(statuses, ["abnormal", "success"]);
  agent.child.kill("SIGTERM");
  await agent.ended;
});

test("a second agent of the same instance is refused", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  const first = home.start([controller.url("/task")]);
  await controller.requests("/task", 1);
  const { status, stderr } = await home.start([controller.url("/task")]).ended;
  assert.equal(status, 1);
  assert.match(stderr, /^croft: Cannot start instance 1 of toolchain default: it is running already/m);
  first.child.kill("SIGTERM");
  await first.ended;
});

test("a second agent of the same instance with another spool leaves the first one's task alone, in every mode", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  giveOnce(controller, () => taskResponse(controller, "s8"));
  const first = home.start([controller.url("/task")]);
  await home.readTask();
  for (const mode of ["--dump-machines", "--dump-task"]) {
    const { status, stderr } = await home.start([mode, "--spool", home.at("other"), controller.url("/task")])
      .ended;
    assert.equal(status, 1);
    assert.match(
      stderr,
      /^croft: Cannot start instance 1 .*: it is running already \('.*' is locked\)\n.*--instance\.$/m,
    );
  }
  await home.upload(resultText());
  const [sent] = await controller.requests("/result", 1);
  assert.equal(parseResultRequest(sent!.body).result.status, "success");
  first.child.kill("SIGTERM");
  await first.ended;
});

test("a challenge is answered with the key, and the key's fingerprint is told", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  const key = home.at("key.pem");
  await run(["openssl", "genrsa", "-out", key, "2048"], { timeoutSeconds: 300 });
  giveOnce(controller, () => taskResponse(controller, "s7", "challenge: prove it\n"));
  const agent = home.start(["--auth-key", key, "--fake-build", controller.url("/task")]);
  const [request] = await controller.requests("/task", 1);
  assert.match(parseTaskRequest(request!.body).fingerprint ?? "", /^[0-9a-f]{64}$/);
  const [sent] = await controller.requests("/result", 1);
  writeFileSync(home.at("signature"), Buffer.from(parseResultRequest(sent!.body).challenge!, "base64"));
  const { stdout } = await run(
    ["openssl", "pkeyutl", "-verifyrecover", "-inkey", key, "-in", home.at("signature")],
    { timeoutSeconds: 300 },
  );
  assert.equal(stdout, "prove it");
  agent.child.kill("SIGTERM");
  await agent.ended;
});
