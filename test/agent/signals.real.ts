/** Signals and exit statuses of the agent, and what SIGHUP makes of a changed configuration. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdirSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { packageFile } from "../../os/files/package.ts";
import { parseResultRequest } from "../../manifests/result-request.ts";
import { FakeController } from "./fake-controller.ts";
import { AgentHome, resultText, task } from "./running-agent.ts";
import { patienceMs } from "../fixtures/patience.ts";

/** Answers with a task once, then with none; accepts results. */
function giveOnce(controller: FakeController): void {
  let given = false;
  controller.answer = ({ path }) => {
    if (!path.startsWith("/task")) return { status: 204 };
    if (given) return { body: ": 1\nsession:\n" };
    given = true;
    return { body: `: 1\nsession: s\nresult-url: ${controller.url("/result")}\n:\n${task}` };
  };
}

/** Waits for a line of the log that comes from now on. */
function logged(child: ChildProcess, pattern: RegExp): Promise<string> {
  const lines = createInterface({ input: child.stderr! });
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`nothing like ${pattern} was logged`)), patienceMs);
    lines.on("line", (line) => {
      if (!pattern.test(line)) return;
      clearTimeout(late);
      resolve(line);
    });
  });
}

test("SIGUSR2 lets the task be finished, and then ends the agent", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  giveOnce(controller);
  const agent = home.start([controller.url("/task")]);
  await controller.requests("/task", 1);
  await home.readTask();
  agent.child.kill("SIGUSR2");
  await home.upload(resultText());
  const [sent] = await controller.requests("/result", 1);
  assert.equal(parseResultRequest(sent!.body).result.status, "success");
  assert.equal((await agent.ended).status, 0);
  assert.equal(controller.received.filter(({ path }) => path === "/task").length, 1, "it asks no more");
});

test("SIGUSR2 ends an agent that sleeps, or waits for the toolchain lock, at once", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  const asleep = home.start(["--poll-interval", "3600", controller.url("/task")]);
  await controller.requests("/task", 1);
  asleep.child.kill("SIGUSR2");
  assert.equal((await asleep.ended).status, 0);
  const holder = spawn("flock", [home.at("toolchain.lock"), "sh", "-c", "echo held; exec sleep 60"], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  await once(holder.stdout, "data");
  try {
    const waiting = home.start(["--verbose", "4", controller.url("/task")]);
    await logged(waiting.child, /"phase":"locking"/);
    waiting.child.kill("SIGUSR2");
    assert.equal((await waiting.ended).status, 0);
  } finally {
    process.kill(-holder.pid!, "SIGKILL");
  }
});

test("a second SIGTERM changes nothing, and a controller that does not answer holds the end up for 10 s only", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  giveOnce(controller);
  const give = controller.answer;
  const asked = Promise.withResolvers<void>();
  controller.answer = (request) => {
    if (request.path !== "/result") return give(request);
    asked.resolve();
    return new Promise(() => {}); // never
  };
  const agent = home.start([controller.url("/task")]);
  await controller.requests("/task", 1);
  await home.readTask();
  agent.child.kill("SIGTERM");
  await asked.promise;
  const began = performance.now();
  agent.child.kill("SIGTERM");
  const { status, stderr } = await agent.ended;
  assert.equal(status, 0, stderr);
  assert.ok(performance.now() - began > 5000, "it tries to deliver for a while");
  assert.equal(readdirSync(home.at("spool", "default-1")).length, 2, "lock and result");
  const next = home.start([controller.url("/task")]);
  controller.answer = () => ({ body: ": 1\nsession:\n" });
  const results = await controller.requests("/result", 1);
  assert.equal(parseResultRequest(results[0]!.body).result.status, "interrupt");
  next.child.kill("SIGTERM");
  assert.equal((await next.ended).status, 0);
});

test("SIGTERM while a controller gives a task: it is reported as interrupted, and not left to its lease", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  giveOnce(controller);
  const give = controller.answer;
  const asked = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  controller.answer = async (request) => {
    if (request.path.startsWith("/task")) {
      asked.resolve();
      await ended.promise; // the task is written out here, and the answer on its way
    }
    return give(request);
  };
  const agent = home.start([controller.url("/task")]);
  await asked.promise;
  agent.child.kill("SIGTERM");
  ended.resolve(); // it arrives after the signal
  const [result] = await controller.requests("/result", 1);
  assert.equal(parseResultRequest(result!.body).result.status, "interrupt");
  const { status, stderr } = await agent.ended;
  assert.equal(status, 0, stderr);
  assert.deepEqual(readdirSync(home.at("spool", "default-1")).sort(), ["lock"]);
});

test("SIGTERM ends an agent within seconds, though a controller that is asked does not answer", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  const asked = Promise.withResolvers<void>();
  controller.answer = () => {
    asked.resolve();
    return new Promise(() => {}); // never
  };
  const agent = home.start([controller.url("/task")]);
  await asked.promise;
  agent.child.kill("SIGTERM");
  assert.equal((await agent.ended).status, 0);
});

test("SIGHUP wakes the agent, which follows the changed configuration from then on", async () => {
  await using home = await AgentHome.make();
  await using first = await FakeController.start();
  await using second = await FakeController.start();
  const file = home.at("agent.yaml");
  writeFileSync(file, `controllers: ["${first.url("/task")}"]\n`);
  const agent = home.start(["--config", file, "--poll-interval", "3600"]);
  await first.requests("/task", 1);
  writeFileSync(file, `verbose: 4\npoll-interval: 1\ncontrollers: ["${second.url("/task")}"]\n`);
  // The command line wins: it sleeps for an hour again. Its log shows that it has the new verbosity.
  const asleep = logged(agent.child, /"phase":"idle"/);
  agent.child.kill("SIGHUP");
  await second.requests("/task", 1);
  assert.equal(first.received.length, 1);
  await asleep;
  agent.child.kill("SIGHUP");
  await second.requests("/task", 2);
  agent.child.kill("SIGTERM");
  assert.equal((await agent.ended).status, 0);
});

test("a bad configuration is one error with its place, and the old settings stay", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  const file = home.at("agent.yaml");
  const good = `controllers: ["${controller.url("/task")}"]\n`;
  writeFileSync(file, good);
  const agent = home.start(["--config", file, "--poll-interval", "3600"]);
  await controller.requests("/task", 1);
  for (const [index, [content, reason]] of [
    [`${good}cpus: 2\n`, /agent\.yaml:2:1: cpus: unknown key/],
    [`${good}auth-key: /nowhere/key.pem\n`, /\/nowhere\/key\.pem/],
    [`${good}network: bridge\nbridge: no-such-br\n`, /no-such-br/],
    ["controllers: [\n", /agent\.yaml:\d+:\d+: /],
    ["", /no controller URL/],
  ].entries() as Iterable<[number, [string, RegExp]]>) {
    writeFileSync(file, content);
    const said = logged(agent.child, /configuration not reloaded/);
    agent.child.kill("SIGHUP");
    assert.match(await said, reason);
    await controller.requests("/task", index + 2);
  }
  agent.child.kill("SIGTERM");
  const { status, stderr } = await agent.ended;
  assert.equal(status, 0);
  assert.equal(stderr.split("\n").filter((line) => line.includes("ERROR")).length, 5, stderr);
});

test("what tells the instance from others needs a restart, which is said", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  const file = home.at("agent.yaml");
  const good = `controllers: ["${controller.url("/task")}"]\n`;
  writeFileSync(file, good);
  const agent = home.start(["--config", file, "--poll-interval", "3600"]);
  await controller.requests("/task", 1);
  writeFileSync(file, `${good}toolchain-name: gcc\ntoolchain-num: 2\ninstance: 7\nlog-format: json\n`);
  const said = logged(agent.child, /after a restart only/);
  agent.child.kill("SIGHUP");
  const line = await said;
  for (const option of ["toolchain-name", "toolchain-num", "instance", "log-format"])
    assert.ok(line.includes(`"${option}"`), line);
  await controller.requests("/task", 2);
  agent.child.kill("SIGTERM");
  assert.equal((await agent.ended).status, 0);
  assert.deepEqual(readdirSync(home.at("spool")), ["default-1"]);
});

test("exit statuses: 2 for wrong usage, 1 for a failure, 70 with the stack for a bug, wherever it is thrown", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  const usage = await home.start(["--cpu", "0", controller.url("/task")]).ended;
  assert.equal(usage.status, 2);
  assert.match(usage.stderr, /^croft: Cannot use the command line: .*--cpu.*\n$/);
  const failure = await home.start(["--auth-key", home.at("none.pem"), controller.url("/task")]).ended;
  assert.equal(failure.status, 1);
  assert.match(failure.stderr, /^croft: Cannot .*none\.pem/m);
  // A signal that the agent has no handler for throws in the middle of its event loop.
  const bug = "data:text/javascript,process.on('SIGWINCH',()=>{throw new TypeError('a bug')})";
  const places = ["machines", "tftp", "spool", "runtime"].flatMap((name) => [`--${name}`, home.at(name)]);
  const child = spawn(
    process.execPath,
    [
      ...["--import", bug, packageFile("bin", "croft.js"), "agent", ...places],
      ...["--fake-machine", home.at("machine.manifest"), controller.url("/task")],
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const lines: string[] = [];
  child.stderr.setEncoding("utf8").on("data", (text: string) => lines.push(text));
  await controller.requests("/task", 1);
  child.kill("SIGWINCH");
  const [status] = (await once(child, "close")) as [number];
  assert.equal(status, 70, lines.join(""));
  assert.match(lines.join(""), /^TypeError: a bug\n {4}at /m);
});
