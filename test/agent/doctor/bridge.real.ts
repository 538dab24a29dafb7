/** Whole tasks through the agent with --network bridge, in a network namespace of their own. */
import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { run } from "../../../os/run.ts";
import { parseResultRequest } from "../../../manifests/result-request.ts";
import { minimalMachine } from "../../fixtures/machines/images.ts";
import {
  enterNetworkNamespace,
  outsideAddress,
  sh,
  startBridgedHost,
  type BridgedHost,
} from "../../fixtures/network.ts";
import { script, writeTree } from "../../worker/sources.ts";
import { FakeController } from "../fake-controller.ts";
import { AgentHome } from "../running-agent.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";

const resources = new AsyncDisposableStack();
let host: BridgedHost;
let machine: string;

before(async () => {
  machine = await minimalMachine(); // made of Debian's packages, if it has to be: not from in there
  await enterNetworkNamespace();
  host = resources.use(await startBridgedHost());
  await using tree = new AsyncDisposableStack();
  const directory = join(host.outsideDirectory, "hello-1.0");
  tree.defer(() => run(["rm", "-r", directory], { timeoutSeconds: 300 }).then(() => {}));
  // Says what it sees, and goes on when it is told.
  await writeTree(directory, {
    ".croft/update": script(
      `ip -4 addr show eth0 | grep -o "10\\.7\\.0\\.[0-9]*/24"`,
      `busybox wget -q -O - http://${outsideAddress}/hello`,
      `until busybox wget -q -O /dev/null http://${outsideAddress}/go; do sleep 0.2; done`,
    ),
  });
  await run(["tar", "-czf", `${directory}.tar.gz`, "hello-1.0"], {
    ...{ timeoutSeconds: 300, cwd: host.outsideDirectory },
  });
});

after(() => resources.disposeAsync());

/** Interfaces and rules of machines, as the host has them now. */
async function leftovers(): Promise<string[]> {
  const links = (await sh("ip", "-brief", "link")).match(/^croft\d+/gm) ?? [];
  const rules = (await sh("nft", "list", "ruleset")).match(/(?<=chain )croft\d+(?= \{)/g) ?? [];
  return [...links, ...rules];
}

test("a machine is bootstrapped and performs a task on a bridge; what a killed agent left is cleaned up", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  const directory = home.at("machines", "volume", "minimal");
  await mkdir(directory, { recursive: true });
  await symlink(machine, join(directory, "minimal-1"));
  const task = [
    ...["name: hello", "version: 1.0", `repository-url: http://${outsideAddress}/hello-1.0.tar.gz`],
    ...["repository-type: pkg", "machine: minimal", "target: x86_64-linux-gnu", ""],
  ].join("\n");
  let given = 0;
  const atRequest: string[][] = [];
  controller.answer = async ({ path }) => {
    if (!path.startsWith("/task")) return { status: 204 };
    atRequest.push(await leftovers());
    const session = `s${++given}`;
    if (given > 2) return { body: ": 1\nsession:\n" };
    return { body: `: 1\nsession: ${session}\nresult-url: ${controller.url("/result")}\n:\n${task}` };
  };
  const options = ["--network", "bridge", "--ram", "262144", "--startup-timeout", "300", "--verbose", "3"];
  const start = () => home.start([...options, controller.url("/task")], { fake: false });

  const first = start();
  await controller.requests("/task", 1, patienceSeconds);
  const performing = Promise.withResolvers<void>();
  const outsideLog = setInterval(() => {
    // The machine has got its task once it asks the outside for something.
    void sh("nft", "list", "set", "bridge", "croft", "croft1").then(
      (text) => (/10\.7\.0\.\d+/.test(text) ? performing.resolve() : undefined),
      () => {},
    );
  }, 200);
  await performing.promise;
  clearInterval(outsideLog);
  first.child.kill("SIGKILL");
  await first.ended;
  assert.deepEqual(await leftovers(), ["croft1", "croft1"]);

  await writeFile(join(host.outsideDirectory, "go"), "");
  const second = start();
  const results = await controller.requests("/result", 2, patienceSeconds);
  await controller.requests("/task", 3, patienceSeconds);
  second.child.kill("SIGTERM");
  const { status, stderr } = await second.ended;
  assert.equal(status, 0, stderr);
  const told = results.map(({ body }) => parseResultRequest(body));
  assert.deepEqual(
    told.map(({ session, result }) => [session, result.status]),
    [
      ["s1", "interrupt"],
      ["s2", "success"],
    ],
    stderr,
  );
  assert.match(JSON.stringify(told[1]), /10\.7\.0\.\d+\/24\\nhello from outside/);
  assert.deepEqual(atRequest, [[], [], []]);
  assert.deepEqual(await leftovers(), []);
});

test("an agent without its bridge says so and what to do", async () => {
  await using home = await AgentHome.make();
  const { status, stderr } = await home.start(
    ["--network", "bridge", "--bridge", "nosuch", "http://127.0.0.1:1/task"],
    { fake: false },
  ).ended;
  assert.equal(status, 1);
  assert.match(stderr, /Cannot use bridge 'nosuch': there is no such interface/);
  assert.match(stderr, /ip link add nosuch type bridge/);
});
