/** Machines that misbehave are held, suspended, until the operator ends them; their results do not wait for that. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import type { MachineSummary } from "../../machines/commands/inventory.ts";
import { abnormalResult } from "../fixtures/abnormal-result.ts";
import { startFarm, type Farm } from "../fixtures/farm.ts";
import { VncClient } from "../fixtures/vnc.ts";
import { packSource, script } from "../worker/sources.ts";
import { patienceSeconds } from "../fixtures/patience.ts";

let farm: Farm;

before(async () => {
  farm = await startFarm({
    ...{ machine: "minimal", from: "kept", ramKiB: 256 * 1024 },
    ...{ controller: "retries: 0\n", suspend: true },
  });
  await packSource(farm.sources, { ".croft/update": script("echo fine") }, "fine-1.0.tar.gz");
  await packSource(farm.sources, abnormalResult, "broken-1.0.tar.gz");
  await farm.startAgent();
});

after(async () => {
  await farm[Symbol.asyncDispose]();
});

async function operate(...args: string[]): Promise<string> {
  const argv = [
    process.execPath,
    packageFile("bin", "main.ts"),
    "machine",
    ...args,
    "--runtime",
    farm.runtime,
  ];
  return (await run(argv, { timeoutSeconds: 300 })).stdout;
}

/** The machine as `croft machine list` shows it. */
async function listed(): Promise<MachineSummary> {
  const { machines } = JSON.parse(await operate("list", "--json", "--machines", farm.machines)) as {
    machines: MachineSummary[];
  };
  return machines[0]!;
}

const lock = () => readFileSync(join(farm.machines, "volume", "minimal", "minimal-default.lock"), "utf8");
const runtime = (name: string) => join(farm.runtime, "default-1", name);
const isHeld = () => existsSync(runtime("suspended.json"));
const snapshots = () =>
  readdirSync(join(farm.machines, "volume", "minimal")).filter((name) =>
    name.startsWith("minimal-default-1-"),
  );

async function until(wanted: () => boolean, seconds = patienceSeconds): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!wanted()) {
    if (Date.now() > deadline) throw new Error(`it did not come to that\n${await farm.agentTail()}`);
    await delay(100);
  }
}

/** Has a build with an abnormal result; its machine is held then. */
async function holdOne(): Promise<void> {
  const id = await farm.submit({ name: "broken" });
  const view = await farm.ended(id);
  assert.equal(view.status, "abnormal"); // the controller has it while the machine is held
  await until(isHeld);
}

/** The farm goes on: the next build is a success. */
async function assertGoesOn(): Promise<void> {
  const view = await farm.ended(await farm.submit({ name: "fine" }));
  assert.equal(view.status, "success");
}

test("a machine whose worker fails is suspended for the operator, who looks, resumes and ends it", async () => {
  await holdOne();
  const error = /ERROR: machine failed: it is suspended until you end it .*/.exec(
    readFileSync(farm.agentLog, "utf8"),
  )![0];
  for (const wanted of [
    /"reason":"the result is abnormal"/,
    /"evidence":"[^"]*evidence[^"]*minimal"/,
    new RegExp(`console: ${runtime("console.log")}`),
    new RegExp(`VNC: ${runtime("vnc.sock")}`),
    new RegExp(`croft machine resume minimal --runtime ${farm.runtime}`),
    new RegExp(`croft machine kill minimal --runtime ${farm.runtime}`),
  ])
    assert.match(error, wanted);
  const { held, holder } = await listed();
  assert.deepEqual([held?.machine, held?.reason, held?.runs], ["minimal", "the result is abnormal", false]);
  assert.deepEqual(holder, { pid: held!.pid }); // no priority: nobody tries to interrupt it
  assert.equal(lock(), String(held!.pid));
  process.kill(held!.pid, "SIGUSR1"); // means nobody
  using vnc = await VncClient.connect(connect(runtime("vnc.sock")));
  assert.equal(vnc.version, "RFB 003.008\n");
  assert.equal(snapshots().length, 1);
  assert.match(await operate("resume", "minimal"), /runs on/);
  // It is the operator's now: there is a shell by VNC.
  vnc.type("\n");
  vnc.type("echo 'I was here' > /dev/ttyS0\n");
  await until(() => /I was here\r?\n/.test(readFileSync(runtime("console.log"), "utf8")));
  assert.equal(isHeld(), true);
  assert.equal((await listed()).held?.runs, true);
  assert.match(await operate("kill", "minimal"), /has ended/);
  await until(() => !isHeld());
  await assertGoesOn();
  const evidence = join(farm.spool, "default-1", "evidence");
  const [kept] = readdirSync(evidence);
  assert.match(readFileSync(join(evidence, kept!, "console.log"), "utf8"), /I was here/);
});

test("SIGTERM while a machine is held ends it, keeps its console, and the agent ends", async () => {
  await holdOne();
  const { held } = await listed();
  process.kill(held!.pid, "SIGTERM");
  await farm.stopAgent();
  assert.match(await farm.agentTail(), /INFO: agent ended/);
  assert.deepEqual([isHeld(), snapshots(), lock()], [false, [], ""]);
  assert.deepEqual(readdirSync(join(farm.runtime, "default-1")).sort(), ["console.log", "lock"]);
  assert.equal(readdirSync(join(farm.spool, "default-1", "evidence")).length, 2);
});

test("an agent killed while it holds a machine: the next one clears it away, and goes on", async () => {
  await farm.startAgent();
  await holdOne();
  await farm.killAgent();
  assert.equal(snapshots().length, 1);
  await farm.startAgent();
  await assertGoesOn();
  await until(() => snapshots().length === 0); // of a machine that is ended while its result is sent
  assert.equal(isHeld(), false);
});

test("a QEMU that is killed while it is held: the agent goes on", async () => {
  await holdOne();
  process.kill(Number(readFileSync(runtime("qemu.pid"), "utf8").trim()), "SIGKILL");
  await until(() => !isHeld());
  await assertGoesOn();
});
