/** Faults of the host and of peers: nothing is lost, and the agent goes on. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { test } from "node:test";
import { patienceMs } from "../fixtures/patience.ts";
import { run } from "../../os/run.ts";
import { parseResultRequest } from "../../manifests/result-request.ts";
import { FakeController } from "./fake-controller.ts";
import { AgentHome, resultText, task } from "./running-agent.ts";

const response = (controller: FakeController, session: string, extra = "") =>
  `: 1\nsession: ${session}\nresult-url: ${controller.url("/result")}\n${extra}:\n${task}`;

/** Gives a task for each session, then none. */
function give(
  controller: FakeController,
  responses: string[],
  other: (path: string) => { status: number; body?: string } = () => ({ status: 204 }),
) {
  controller.answer = ({ path }) =>
    path.startsWith("/task")
      ? { body: responses.shift() ?? ": 1\nsession:\n", headers: { "croft-upload": "files" } }
      : other(path);
}

/** Waits for words of an agent. */
async function untilSaid({ child }: ReturnType<AgentHome["start"]>, words: RegExp): Promise<void> {
  const signal = AbortSignal.timeout(patienceMs);
  for (let said = ""; !words.test(said);) {
    const [chunk] = (await once(child.stderr!, "data", { signal })) as [Buffer];
    said += chunk.toString();
  }
}

async function stop(agent: ReturnType<AgentHome["start"]>): Promise<string> {
  agent.child.kill("SIGTERM");
  const { status, stderr } = await agent.ended;
  assert.equal(status, 0, stderr);
  return stderr;
}

test("a host that cannot build asks nobody, says why, and asks when it can again: a full spool, a taken port", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  await mkdir(home.at("spool"));
  await run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", home.at("spool")], { timeoutSeconds: 300 });
  await using _ = {
    [Symbol.asyncDispose]: async () =>
      void (await run(["umount", "-l", home.at("spool")], { timeoutSeconds: 300 })),
  };
  give(controller, [response(controller, "f1")]);
  await run(["dd", "if=/dev/zero", `of=${home.at("spool", "ballast")}`, "bs=4k"], {
    timeoutSeconds: 300,
    accept: [1],
  });
  await rm(home.at("spool", "ballast"), { force: true });
  mkdirSync(home.at("spool", "default-1"));
  await run(["dd", "if=/dev/zero", `of=${home.at("spool", "ballast")}`, "bs=4k"], {
    timeoutSeconds: 300,
    accept: [1],
  });
  const other = createSocket("udp4");
  other.bind(home.tftpPort, "127.0.0.1");
  await once(other, "listening");
  const agent = home.start(["--fake-build", controller.url("/task")]);
  await untilSaid(agent, /Cannot take the TFTP port \d+ on 127.0.0.1: the address is in use/);
  other.close();
  await untilSaid(agent, /Cannot build with '\S+spool': only 0 bytes are free there, 3.2 KiB are needed/);
  await untilSaid(agent, /Cannot build with/);
  assert.deepEqual(controller.received, []);
  await rm(home.at("spool", "ballast"));
  const [only] = await controller.requests("/result", 1);
  const { session, result } = parseResultRequest(only!.body);
  assert.equal(session, "f1");
  assert.match(result.operations[0]!.log, /--fake-build/);
  await stop(agent);
});

test("a spool that fills up during the build: the result waits for room, through a restart", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  await mkdir(home.at("spool"));
  await run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", home.at("spool")], { timeoutSeconds: 300 });
  await using _ = {
    [Symbol.asyncDispose]: async () =>
      void (await run(["umount", "-l", home.at("spool")], { timeoutSeconds: 300 })),
  };
  give(controller, [response(controller, "f3")]);
  const agent = home.start([controller.url("/task")]);
  await home.readTask();
  await run(["dd", "if=/dev/zero", `of=${home.at("spool", "ballast")}`, "bs=4k"], {
    timeoutSeconds: 300,
    accept: [1],
  });
  await home.upload(resultText());
  const said: string[] = [];
  await new Promise<void>((resolve) =>
    agent.child.stderr!.on("data", (chunk: Buffer) => {
      said.push(chunk.toString());
      if (said.join("").includes("result not written down yet")) resolve();
    }),
  );
  await stop(agent);
  await rm(home.at("spool", "ballast"));
  const next = home.start([controller.url("/task")]);
  const [sent] = await controller.requests("/result", 1);
  assert.equal(parseResultRequest(sent!.body).result.status, "success");
  await stop(next);
});

test("what peers say may hold anything: two refused artifacts are told in one operation, controls replaced", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  const urls = `artifact-upload-url: ${controller.url("/up/a")}\npackage-upload-url: ${controller.url("/up/p")}\n`;
  give(controller, [response(controller, "f4", urls)], (path) =>
    path.startsWith("/up") ? { status: 400, body: "\u001b[31mno\u0000\u200b" } : { status: 204 },
  );
  const agent = home.start([controller.url("/task")]);
  await home.readTask();
  for (const type of ["artifact", "package", "constructor"]) {
    await mkdir(home.at("upload", type), { recursive: true });
    writeFileSync(home.at("upload", type, "file"), type);
  }
  await run(["tar", "-C", home.path, "-cf", home.at("upload.tar"), "upload"], { timeoutSeconds: 300 });
  await run(["curl", "-sS", "-T", home.at("upload.tar"), `tftp://127.0.0.1:${home.tftpPort}/upload.tar`], {
    timeoutSeconds: 300,
  });
  await home.upload(resultText());
  const [sent] = await controller.requests("/result", 1);
  const { result } = parseResultRequest(sent!.body);
  assert.equal(result.status, "warning");
  assert.deepEqual(
    result.operations.map(({ name, status }) => [name, status]),
    [
      ["update", "success"],
      ["upload", "abort"],
    ],
  );
  assert.match(result.operations[1]!.log, /\/up\/a answered 400\n\?\[31mno\?\?\n[^]*\/up\/p answered 400/);
  assert.match(result.operations[1]!.log, /takes no artifacts of type 'constructor'/);
  assert.match(await stop(agent), /no upload URL for artifacts of this type .*constructor/);
});

test("a challenge too long for the key is a reason to refuse the task", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  await run(["openssl", "genrsa", "-out", home.at("key"), "2048"], { timeoutSeconds: 300 });
  give(controller, [response(controller, "f5", `challenge: ${"x".repeat(300)}\n`)]);
  const agent = home.start(["--auth-key", home.at("key"), "--fake-build", controller.url("/task")]);
  await controller.requests("/task", 2);
  assert.match(await stop(agent), /task response refused .*it has 300 bytes, the key has room for 245/);
});

test("entries of the spool that are not readable are kept aside, and the others are sent", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  const spool = (...parts: string[]) => home.at("spool", "default-1", ...parts);
  const assignment = {
    session: "f6",
    resultUrl: controller.url("/result"),
    uploadUrls: {},
    task: ": 1\n" + task,
  };
  for (const [name, text] of [
    ["20260101T000000000Z-aaaaaa", "{broken"],
    ["20260101T000000001Z-bbbbbb", JSON.stringify({ ...assignment, task: "broken" })],
    ["20260101T000000002Z-cccccc", JSON.stringify(assignment)],
  ]) {
    mkdirSync(spool(name!), { recursive: true });
    writeFileSync(spool(name!, "assignment.json"), text!);
  }
  const agent = home.start([controller.url("/task")]);
  const [sent] = await controller.requests("/result", 1);
  assert.equal(parseResultRequest(sent!.body).result.status, "interrupt");
  await controller.requests("/task", 1);
  await stop(agent);
  assert.deepEqual(readdirSync(spool("rejected")).length, 2);
  assert.match(
    readFileSync(spool("rejected", "20260101T000000001Z-bbbbbb", "answer"), "utf8"),
    /its task is not readable/,
  );
  assert.equal(existsSync(spool("20260101T000000002Z-cccccc")), false);
});

test("a result of a hundred thousand values is refused before it takes the agent's memory", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  give(controller, [response(controller, "f7")]);
  const agent = home.start([controller.url("/task")]);
  await home.readTask();
  await home.upload(resultText() + "a:b\n".repeat(500_000));
  const [sent] = await controller.requests("/result", 1);
  const { result } = parseResultRequest(sent!.body);
  assert.equal(result.status, "abnormal");
  assert.match(result.operations[0]!.log, /more than 100000 values/);
  await stop(agent);
});

test("SIGTERM while waiting for the toolchain lock ends the agent in order", async () => {
  await using home = await AgentHome.make();
  const release = new AbortController();
  let held = () => {};
  const isHeld = new Promise<void>((resolve) => (held = resolve));
  const holding = { timeoutSeconds: 300, signal: release.signal, onLine: () => held() };
  const holder = run(["flock", home.at("toolchain.lock"), "sh", "-c", "echo held; sleep 300"], holding).catch(
    () => {},
  );
  await isHeld;
  const agent = home.start(["--verbose", "5", "http://127.0.0.1:1/"]);
  await new Promise<void>((resolve) => {
    let said = "";
    agent.child.stderr!.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes("waiting for the toolchain lock")) resolve();
    });
  });
  await stop(agent);
  release.abort();
  await holder;
});

test("SIGHUP does not end the agent", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  const agent = home.start([controller.url("/task")]);
  await controller.requests("/task", 1);
  agent.child.kill("SIGHUP");
  const asked = controller.received.length;
  await controller.requests("/task", asked + 2);
  await stop(agent);
});

test("a task that another host may do is an interrupt to croft's controllers, with an abort of the agent that says why", async () => {
  for (const [headers, status] of [
    [{}, "abort"],
    [{ "croft-alive-url": "http://127.0.0.1:9/alive" }, "interrupt"],
  ] as const) {
    await using home = await AgentHome.make();
    await using controller = await FakeController.start();
    give(controller, []);
    const { answer } = controller;
    let given = false;
    controller.answer = (request) => {
      if (given || !request.path.startsWith("/task")) return answer(request);
      given = true;
      return { body: response(controller, "s") + "auxiliary-machine: postgresql_16\n", headers };
    };
    const agent = home.start([controller.url("/task")]);
    const [request] = await controller.requests("/result", 1);
    const { result, agentChecksum } = parseResultRequest(request!.body);
    const [operation] = result.operations;
    assert.deepEqual([result.status, operation!.name, operation!.status], [status, "agent", "abort"]);
    assert.match(operation!.log, /refuses this task: it needs auxiliary machines \(postgresql_16\)/);
    assert.match(agentChecksum!, /^croft-/);
    await stop(agent);
  }
});
