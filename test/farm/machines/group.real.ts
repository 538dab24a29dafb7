/** Builds with an auxiliary machine, in real machines: the service is reached by whom it is for, and by nobody else. */
import assert from "node:assert/strict";
import { chmod, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { run } from "../../../os/run.ts";
import { startFarm, type Farm } from "../../fixtures/farm.ts";
import { layAuxiliaryMachine } from "../../fixtures/machines/auxiliary-machine.ts";
import { patienceMs, patienceSeconds } from "../../fixtures/patience.ts";
import { reachedBy } from "../../fixtures/reached.ts";
import { packSource, script } from "../../worker/sources.ts";

let farm: Farm;

/** It behaves as the build calls it. */
const service = `#!/bin/sh
case $CROFT_NAME in
dies) echo "no room for tables"; exit 3 ;;
hangs) sleep 10000 ;;
leaves) (sleep 8; poweroff -f) & ;;
esac
mkdir -p /tmp/www
echo "served at $CROFT_ADDRESS" > /tmp/www/index.html
busybox httpd -p 8080 -h /tmp/www
echo PORT=8080 >> "$CROFT_ENVIRONMENT"
`;

before(async () => {
  farm = await startFarm({
    ...{ machine: "minimal", from: "copied", ramKiB: 256 * 1024, warm: true },
    controller:
      "retries: 0\ntargets:\n  - name: alone\n  - name: with-echo\n    auxiliary:\n      my-echo: '*-echo'\n",
    agent: ["--machine-copies", "2"],
  });
  await layAuxiliaryMachine(farm.machines, "linux-echo", service);
  await farm.startAgent(["--auxiliary-ram", "300000"]);
  await untilCount("machine saved", 2);
});

after(async () => {
  await farm[Symbol.asyncDispose]();
});

/** How often the agent has said something. */
const count = async (text: string) => (await readFile(farm.agentLog, "utf8")).split(text).length - 1;

async function untilCount(text: string, atLeast: number): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while ((await count(text)) < atLeast) {
    if (performance.now() > deadline) throw new Error(`no '${text}' in:\n${await farm.agentTail()}`);
    await delay(50);
  }
}

/** Submits a build whose test is these lines. */
async function submit(name: string, more: Record<string, unknown>, ...lines: string[]): Promise<number> {
  await packSource(farm.sources, { ".croft/test": script(...lines) }, `${name}-1.0.tar.gz`);
  return await farm.submit({ name, ...more });
}

test("a build reaches the service of its auxiliary machine by its variables; a machine beside it does not", async () => {
  const go = farm.guestUrl("/go");
  const one = await submit(
    "group",
    { targets: ["with-echo"] },
    'echo "at $MY_ECHO_HOST port $MY_ECHO_PORT"',
    'wget -q -O - "http://$MY_ECHO_HOST:$MY_ECHO_PORT/"',
    `until wget -q -O /dev/null ${go}; do sleep 1; done`,
  );
  await farm.logUntil(one, 3 * patienceSeconds, /served at 198\.18\.0\.2/);
  assert.match(await farm.log(one), /at 198\.18\.0\.2 port 8080/);
  assert.equal(await count("machine restored"), 2, await farm.agentTail());
  // The group's network has no address on the host, and its machines' sockets are closed to users there.
  const { stdout } = await run(["pgrep", "-f", farm.directory], { timeoutSeconds: 60 });
  const pids = stdout.trim().split("\n").map(Number);
  await chmod(farm.directory, 0o755);
  const { reached, sockets } = await reachedBy(65_534, farm.runtime, pids);
  assert.ok(sockets >= 2, `${sockets} sockets of two machines`);
  assert.deepEqual(reached, []);
  await farm.startSecondAgent(["--auxiliary-ram", "0"]);
  const stranger = await submit(
    "stranger",
    { targets: ["alone"] },
    "for host in 198.18.0.2 198.18.0.1 10.0.2.2; do",
    '! wget -q -T 3 -O - "http://$host:8080/" || exit 1',
    "done",
    "echo nothing is there",
    "env | grep -c ECHO || :",
  );
  const other = await farm.ended(stranger);
  assert.equal(other.status, "success", await farm.log(stranger));
  await writeFile(join(farm.sources.directory, "go"), "");
  const { status, attempts } = await farm.ended(one);
  assert.equal(status, "success", await farm.log(one));
  const [{ auxiliary }] = attempts as unknown as [{ auxiliary: Record<string, string> }];
  assert.deepEqual(auxiliary, { "my-echo": "linux-echo" });
});

test("an auxiliary machine that fails, or ends later, ends the build, whose result says which and what it printed", async () => {
  const build = async (name: string, ...lines: string[]) => {
    const id = await submit(name, { targets: ["alone"], auxiliary: { [name]: "linux-*" } }, ...lines);
    const { status } = await farm.ended(id);
    return [status, await farm.log(id)] as const;
  };
  const [died, why] = await build("dies", "echo unreached");
  assert.equal(died, "abort", why);
  assert.match(why, /auxiliary machine 'dies' \(linux-echo\): it ended before its services were up/);
  assert.match(why, /no room for tables/);
  const [left, reason] = await build("leaves", "sleep 10000");
  assert.equal(left, "abort", reason);
  assert.match(reason, /auxiliary machine 'leaves' \(linux-echo\)'?: it ended while the task was performed/);
  await farm.stopAgent();
  await farm.startAgent(["--auxiliary-ram", "300000", "--auxiliary-timeout", "3"]);
  const [hung, late] = await build("hangs", "echo unreached");
  assert.equal(hung, "abort", late);
  assert.match(late, /auxiliary machine 'hangs' \(linux-echo\): its services were not up within 3 s/);
  assert.match(await readFile(farm.agentLog, "utf8"), /auxiliary machine failed/);
});

/** What there is of machines that run, or of their tasks: processes, sockets, files, and directories that only they have. */
async function leftOfMachines(): Promise<string[]> {
  const lines = async (...argv: string[]) =>
    (await run(argv, { timeoutSeconds: 60, accept: [1] })).stdout.split("\n").filter((line) => line !== "");
  const runtimes = (await readdir(farm.runtime)).filter((name) => name.includes(".a"));
  return [
    ...(await lines("pgrep", "-af", `qemu-system.*${farm.directory}`)),
    ...(await lines("find", farm.runtime, "-type", "s")),
    ...(await lines("find", farm.machines, "-name", "*-default-1-*", "-o", "-name", ".warm-1-*")),
    ...(await lines("find", join(farm.directory, "tftp"), "-name", "auxiliary-*")),
    ...runtimes,
  ];
}

test("an agent that is killed while a group runs leaves nothing that keeps the next one from its work", async () => {
  await farm.stopAgent();
  await farm.startAgent(["--auxiliary-ram", "300000"]);
  const go = farm.guestUrl("/go-on");
  const waiting = `until wget -q -O /dev/null ${go}; do sleep 1; done`;
  const group = await submit("group", { targets: ["with-echo"] }, "echo begun", waiting);
  await farm.logUntil(group, 3 * patienceSeconds, /^begun$/m);
  assert.ok((await leftOfMachines()).length > 8, "what is looked for is there");
  await farm.killAgent();
  const machines = join(farm.machines, "volume");
  const qemus = ["pgrep", "-f", `qemu-system.*${farm.directory}`];
  const deadline = performance.now() + patienceMs;
  while ((await run(qemus, { timeoutSeconds: 60, accept: [1] })).stdout !== "") {
    assert.ok(performance.now() < deadline, "a machine goes on");
    await delay(50);
  }
  const { stdout: locks } = await run(["find", machines, "-name", "*.lock"], { timeoutSeconds: 60 });
  for (const lock of locks.trim().split("\n"))
    await run(["flock", "-n", lock, "true"], { timeoutSeconds: 60 });
  // One that runs no group: what is removed for it is not replaced by the next.
  await farm.startAgent(["--auxiliary-ram", "0"]);
  const alone = await submit("alone", { targets: ["alone"] }, "true");
  assert.equal((await farm.ended(alone)).status, "success", await farm.log(alone));
  await farm.stopAgent();
  assert.deepEqual(await leftOfMachines(), []);
  await writeFile(join(farm.sources.directory, "go-on"), "");
  await farm.startAgent(["--auxiliary-ram", "300000"]);
  const { status, attempts } = await farm.ended(group);
  assert.equal(status, "success", await farm.log(group));
  assert.deepEqual(
    (attempts as { status: string }[]).map((attempt) => attempt.status),
    ["interrupt", "success"],
  );
});
