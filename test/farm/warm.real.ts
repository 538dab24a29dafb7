/** Machines that are saved where they wait for a task, and tasks that begin there: with a real guest, all the way. */
import assert from "node:assert/strict";
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  truncateSync,
  utimesSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import { startFarm, type Farm } from "../fixtures/farm.ts";
import { copyTree } from "../fixtures/machines/ready-machines.ts";
import { patienceMs, patienceSeconds } from "../fixtures/patience.ts";
import { packSource, script } from "../worker/sources.ts";

let farm: Farm;
/** When the guest asked for what, by the host's clock and in the guest's words. */
const heard: { path: string; milliseconds: number }[] = [];
const server = createServer((request, response) => {
  heard.push({ path: request.url!, milliseconds: Date.now() });
  response.end("\n");
});

/** The time stamp of a file that was just made is exact; the two requests around it are when, by the host's clock. */
const clock = (port: number) => [
  `ask() { wget -q -O /dev/null "http://10.0.2.2:${port}/$1"; }`,
  `ask before; : > now; stamp=$(stat -c %y now | tr " " T); ask "$stamp"`,
];

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  farm = await startFarm({
    ahead: true,
    machine: "minimal",
    warm: true,
    agent: ["--ram", "262144"],
    controller: "retries: 0\n",
  });
  const { port } = server.address() as AddressInfo;
  const draw = [
    "cat /proc/sys/kernel/random/boot_id",
    "head -c 32 /dev/urandom | sha256sum",
    "mktemp -u /tmp/XXXXXXXX",
  ];
  await packSource(farm.sources, {
    ".croft/update": script("set +x", ...clock(port), ...draw.map((each) => `echo "drew $(${each})"`)),
  });
  await farm.startAgent();
});

after(async () => {
  server.closeAllConnections();
  server.close();
  await farm[Symbol.asyncDispose]();
});

const agentLog = () => readFileSync(farm.agentLog, "utf8");
const count = (text: string) => agentLog().split(text).length - 1;
const home = () => join(farm.machines, "volume", "minimal");
const at = (name: string) => join(home(), "minimal-default", name);

/** What a build has drawn of what must not be drawn twice. */
async function build(): Promise<string[]> {
  const id = await farm.submit({ name: "hello" });
  const view = await farm.ended(id);
  const log = await farm.log(id);
  assert.equal(view.status, "success", `${log}\n${await farm.agentTail()}`);
  return [...log.matchAll(/^drew (.*)$/gm)].map(([, drawn]) => drawn!);
}

/** The agent's own process is done with a build a little after its result is there. */
function left(): string[] {
  return readdirSync(home()).filter((name) => !/^minimal-(1|default|default\.lock)$/.test(name));
}

test("tasks begin in copies that share neither random numbers, nor names, nor a clock that is slow", async () => {
  const drawn = [await build(), await build(), await build()];
  assert.equal(count("machine restored"), 3, agentLog());
  for (const [first, ...others] of [0, 1, 2].map((what) => drawn.map((one) => one[what])))
    assert.equal(new Set([first, ...others]).size, 3, JSON.stringify(drawn));
  for (let request = 0; request < heard.length; request += 2) {
    const [before, now] = [heard[request]!, heard[request + 1]!];
    const stamp = Date.parse(now.path.slice(1).replace(/(\.\d{3})\d*T.*$/, "$1Z"));
    assert.ok(
      stamp >= before.milliseconds - 500 && stamp <= now.milliseconds + 500,
      JSON.stringify([before, now]),
    );
  }
  assert.equal(heard.length, 6);
});

test("the state and its size are told", async () => {
  const machine = (...args: string[]) =>
    run([process.execPath, packageFile("bin", "croft.js"), "machine", ...args, "--machines", farm.machines], {
      timeoutSeconds: 300,
    });
  assert.match((await machine("show", "minimal")).stdout, /minimal-default is warm: .* \([\d.]+ MiB\)/);
  assert.match((await machine("list")).stdout, /WARM[^]* yes +/);
});

async function untilCount(text: string, atLeast: number): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (count(text) < atLeast) {
    if (performance.now() > deadline) throw new Error(`no '${text}' in:\n${agentLog()}`);
    await delay(50);
  }
}

/** The processes of the farm's machines. */
async function machinePids(): Promise<string[]> {
  const argv = ["pgrep", "-f", `qemu-system.*${farm.directory}`];
  return (await run(argv, { timeoutSeconds: 60, accept: [1] })).stdout.split("\n").slice(0, -1);
}

const processStatus = (pid: string) => readFileSync(`/proc/${pid}/status`, "utf8");

test("an idle agent keeps a copy of the machine that it used last; when it is killed, its successor clears that away", async () => {
  const kept = "a copy is kept ahead of the next task";
  await untilCount(kept, 1);
  const [before, copies] = [count('"ahead":true'), count(kept)];
  await build();
  assert.equal(count('"ahead":true'), before + 1, agentLog());
  await untilCount(kept, copies + 1);
  // Its cursor would blink four times a second. Nothing tells that it does not but time.
  const [pid] = await machinePids();
  const wakeUps = () => Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(processStatus(pid!))![1]);
  const woken = wakeUps();
  await delay(3000);
  assert.equal(wakeUps() - woken, 0);
  await farm.killAgent();
  assert.equal(left().length, 1);
  await farm.startAgent();
  await build();
  await untilCount(kept, 1);
  await farm.stopAgent();
  assert.deepEqual(left(), []);
  await farm.startAgent();
});

test("a memory that was written since is not used: the machine is booted, which is told once", async () => {
  const { atime, mtime } = statSync(at("warm/ram"));
  truncateSync(at("warm/ram"), statSync(at("warm/ram")).size);
  utimesSync(at("warm/ram"), atime, mtime);
  await build();
  assert.equal(count("machine restored"), 0);
  assert.equal(count("its saved state does not count"), 1);
  assert.match(agentLog(), /'warm\/ram' has changed since it was saved/);
});

test("a state that QEMU cannot use costs its task nothing, and is removed with its reason", async () => {
  const state = JSON.parse(readFileSync(at("warm/state.json"), "utf8")) as { files: Record<string, string> };
  truncateSync(at("warm/device"), 1000);
  for (const name of Object.keys(state.files)) {
    const { ino, size, mtimeNs, ctimeNs } = statSync(at(`warm/${name}`), { bigint: true });
    state.files[name] = [ino, size, mtimeNs, ctimeNs].join(" ");
  }
  writeFileSync(at("warm/state.json"), JSON.stringify(state));
  await build();
  assert.match(agentLog(), /machine cannot be restored: its state is removed, and it is booted/);
  assert.equal(existsSync(at("warm")), false);
  assert.match(readFileSync(at("warm-failure"), "utf8"), /^it could not be restored: /);
  await farm.stopAgent();
  assert.deepEqual(left(), []);
  assert.deepEqual(
    readdirSync(at(".")).filter((name) => name.startsWith(".")),
    [],
  );
});

test("croft doctor --try-warm saves a machine and restores copies, as machines under KVM need it before they are saved", async () => {
  const given = (await farm.agentArguments()).slice(1);
  const argv = [process.execPath, packageFile("bin", "croft.js"), "doctor", "--try-warm", ...given];
  const { stdout } = await run(argv, { timeoutSeconds: 600, accept: [1] });
  assert.match(stdout, /^ok +saved machines: minimal was saved, and 5 copies came back, each with random/m);
  assert.match(readFileSync(join(farm.machines, ".warm-trial.json"), "utf8"), /"processor"/);
  assert.deepEqual(left(), []);
});

test("a machine whose kernel does not see that it is a copy is refused, boots, and says why", async () => {
  const revision = realpathSync(join(home(), "minimal-1"));
  await using blind = await startFarm({
    ...{ machine: "minimal", warm: true, ramKiB: 262_144 },
    ...{ controller: "retries: 0\n", agent: ["--startup-timeout", String(patienceSeconds)] },
  });
  const current = join(blind.machines, "volume", "minimal", "minimal-1");
  rmSync(current);
  symlinkSync("minimal-1.1", current);
  await copyTree(revision, `${current}.1`);
  // As Debian's 6.1 for clouds, which has no such driver.
  appendFileSync(join(current, "cmdline"), "initcall_blacklist=vmgenid_plaform_driver_init\n");
  await packSource(blind.sources, { ".croft/update": script("true") });
  await blind.startAgent();
  const view = await blind.ended(await blind.submit({ name: "hello" }));
  assert.equal(view.status, "success", await blind.agentTail());
  assert.match(readFileSync(blind.agentLog, "utf8"), /not saved.*no driver for vmgenid/);
  const args = ["machine", "show", "minimal", "--machines", blind.machines];
  const { stdout } = await run([process.execPath, packageFile("bin", "croft.js"), ...args], {
    timeoutSeconds: 300,
  });
  assert.match(stdout, /minimal-default is not warm, and booted for every task: .*no driver for vmgenid/);
});
