/** An agent with a key, and a controller that serves nobody else. */
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { run } from "../../os/run.ts";
import { packageVersion } from "../../os/files/package.ts";
import { parseTask } from "../../manifests/task.ts";
import { FakeController } from "../agent/fake-controller.ts";
import { AgentHome, resultText, task } from "../agent/running-agent.ts";
import { makeFarm, readBuild, submit, type Farm, type RunningController } from "../controller/farm.ts";
import { stateOf, submitBuild, token } from "../controller/authentication/proof.ts";
import { until } from "../controller/until.ts";

const farms = new AsyncDisposableStack();
let farm: Farm;
let controller: RunningController;
/** A private controller that knows the same key. */
let hidden: RunningController;
const at = (name: string) => join(farm.directory, name);

/** Signs like openssl until the file `broken` is there. */
function fragileProgram(): string {
  const path = at("fragile");
  const script = `#!/bin/sh\nif [ "$1" = pkeyutl ] && [ -e ${at("broken")} ]; then echo 'no card in the reader' >&2; exit 7; fi\nexec openssl "$@"\n`;
  writeFileSync(path, script);
  chmodSync(path, 0o755);
  return path;
}

before(async () => {
  farm = farms.use(await makeFarm());
  const openssl = (...args: string[]) => run(["openssl", ...args], { timeoutSeconds: 300 });
  mkdirSync(at("keys"));
  for (const name of ["agent", "stranger"]) await openssl("genrsa", "-out", at(`${name}.key`), "2048");
  await openssl("rsa", "-in", at("agent.key"), "-pubout", "-out", at("keys/agent.pem"));
  writeFileSync(at("controller.yaml"), `agents:\n  keys: ${at("keys")}\nretries: 0\n`);
  controller = await farm.start();
  const privateFarm = farms.use(
    await makeFarm(`private: true\n${token.configuration}agents: { keys: ${at("keys")} }\nretries: 0\n`),
  );
  hidden = await privateFarm.start();
});
after(() => farms.disposeAsync());

for (const [how, options] of [
  ["in process", []],
  [
    "by an external openssl",
    ["--openssl", "openssl", "--openssl-option", "-keyform", "--openssl-option", "PEM"],
  ],
] as const)
  test(`the controller accepts results of an agent that signs ${how}`, async () => {
    await using home = await AgentHome.make();
    const id = await submit(controller.url, { machine: "m" });
    const url = `${controller.url}/agent/task`;
    const agent = home.start(["--auth-key", at("agent.key"), ...options, url]);
    await home.upload(resultText());
    await until(async () => (await readBuild(controller.url, id)).state === "finished", "the result");
    assert.equal((await readBuild(controller.url, id)).status, "success");
    agent.child.kill("SIGTERM");
    assert.equal((await agent.ended).status, 0);
  });

for (const [how, options] of [
  ["in process", []],
  ["by an external openssl", ["--openssl", "openssl"]],
] as const)
  test(`a private controller gives tasks to an agent that signs its requests ${how}`, async () => {
    await using home = await AgentHome.make();
    const { url } = hidden;
    const id = await submitBuild(url, { machine: "m" });
    const agent = home.start(["--auth-key", at("agent.key"), ...options, `${url}/agent/task`]);
    await home.upload(resultText());
    await until(async () => (await stateOf(url, id)) === "finished", "the result");
    agent.child.kill("SIGTERM");
    const { status, stderr } = await agent.ended;
    assert.equal(status, 0);
    assert.doesNotMatch(stderr, /refused/);
  });

for (const [what, options, environment, message] of [
  ["without a key", [], {}, /task response refused .*401.*the request has no fingerprint/],
  ["with another key", ["--auth-key", "stranger.key"], {}, /task response refused .*403.*of no key/],
  [
    "whose clock is wrong",
    ["--auth-key", "agent.key"],
    { NODE_OPTIONS: "--import=data:text/javascript,const{now}=Date;Date.now=()=>now()-600000" },
    /task response refused .*401.*the agent's clock is (59\d|6\d\d) s behind/,
  ],
] as const)
  test(`an agent ${what} gets nothing from a private controller, and its log says why`, async () => {
    await using home = await AgentHome.make();
    const { url } = hidden;
    const id = await submitBuild(url, { machine: "m" });
    const args = options.map((option) => (option.endsWith(".key") ? at(option) : option));
    const agent = home.start([...args, `${url}/agent/task`], { environment });
    let said = "";
    agent.child.stderr!.on("data", (piece: Buffer) => (said += piece.toString()));
    await until(async () => said.includes("refused"), "the refusal");
    agent.child.kill("SIGTERM");
    assert.match((await agent.ended).stderr, message);
    assert.equal(await stateOf(url, id), "queued");
  });

test("an agent says that it proves if it has a key, and its version in any case", async () => {
  for (const [args, header, proof] of [
    [
      ["--auth-key", at("agent.key")],
      `${packageVersion}; alive, wake, timeout, variables, trees, proof, secrets`,
      /^\d{10} [\w-]{22} [\w+/]+=*$/,
    ],
    [[], `${packageVersion}; alive, wake, timeout, variables, trees`, /^undefined$/],
  ] as const) {
    await using home = await AgentHome.make();
    await using fake = await FakeController.start();
    home.start([...args, fake.url("/task")]);
    const [request] = await fake.requests("/task", 1);
    const { headers } = request!;
    assert.equal(headers["croft-agent"], header);
    assert.match(String(headers["croft-proof"]), proof);
  }
});

test("the controller serves no agent with another key", async () => {
  await using home = await AgentHome.make();
  await using next = await FakeController.start();
  const agent = home.start([
    ...["--auth-key", at("stranger.key")],
    ...[`0100=${controller.url}/agent/task`, next.url("/task")],
  ]);
  await next.requests("/task", 1); // asked after the other has refused
  agent.child.kill("SIGTERM");
  assert.match((await agent.ended).stderr, /task response refused .*403/);
});

test("a task whose challenge cannot be signed any more is refused, and the agent goes on", async () => {
  await using home = await AgentHome.make();
  await using fake = await FakeController.start();
  rmSync(at("broken"), { force: true });
  const body = `: 1\nsession: s1\nchallenge: abc\nresult-url: ${fake.url("/result")}\n:\n${task}`;
  fake.answer = ({ path }) => {
    if (!path.startsWith("/task")) return { status: 204 };
    writeFileSync(at("broken"), ""); // the card is taken out after the agent has started
    return { body };
  };
  const agent = home.start(["--auth-key", at("agent.key"), "--openssl", fragileProgram(), fake.url("/task")]);
  let said = "";
  agent.child.stderr!.on("data", (piece: Buffer) => (said += piece.toString()));
  await until(async () => said.includes("task request not sent"), "the next request");
  agent.child.kill("SIGTERM");
  const { status, stderr } = await agent.ended;
  rmSync(at("broken"));
  assert.equal(
    fake.received.filter(({ path }) => path === "/task").length,
    1,
    "what is not signed is not sent",
  );
  assert.match(stderr, /task request not sent .*exit status 7: no card in the reader/);
  assert.equal(status, 0);
  assert.match(
    stderr,
    /task response refused .*Cannot sign with '.*fragile': exit status 7: no card in the reader/,
  );
  assert.equal(
    fake.received.some(({ path }) => path === "/result"),
    false,
  );
});

for (const [what, options, message] of [
  [
    "a missing key",
    ["--auth-key", "/nonexistent/key"],
    "Cannot use the key '/nonexistent/key': no such file or directory",
  ],
  [
    "a missing key for openssl",
    ["--auth-key", "/nonexistent/key", "--openssl", "openssl"],
    "Cannot use the key '/nonexistent/key': no such file or directory",
  ],
  [
    "an openssl that is not there",
    ["--auth-key", "KEY", "--openssl", "/nonexistent/openssl"],
    "Cannot sign with '/nonexistent/openssl': no such program",
  ],
] as const)
  test(`${what} ends the agent at its start with status 1`, async () => {
    await using home = await AgentHome.make();
    const args = options.map((option) => (option === "KEY" ? at("agent.key") : option));
    const { status, stderr } = await home.start([...args, "http://127.0.0.1:1/"]).ended;
    assert.equal(status, 1);
    assert.ok(stderr.includes(`croft: ${message}\n`), stderr);
  });

test("the operator's trust replaces the task's, and another agent's checksum drops the worker's", async () => {
  await using home = await AgentHome.make();
  await using fake = await FakeController.start();
  const given = `${task}trust: no\nworker-checksum: w1\n`;
  fake.answer = ({ path }) =>
    path.startsWith("/task")
      ? { body: `: 1\nsession: s1\nagent-checksum: other\nresult-url: ${fake.url("/result")}\n:\n${given}` }
      : { status: 204 };
  const fingerprint = "AB:".repeat(31) + "CD";
  home.start(["--trust", "yes", "--trust", fingerprint, fake.url("/task")]);
  const manifest = home.at("tftp", "build", "default-1", "get", "task.manifest");
  await until(async () => existsSync(manifest) && readFileSync(manifest, "utf8") !== "", "the task");
  const { trust, workerChecksum } = parseTask(readFileSync(manifest));
  assert.deepEqual(trust, ["yes", fingerprint]);
  assert.equal(workerChecksum, undefined);
});
