/**
 * Tasks that give way, in real machines: agents of one host, a real controller with the builds of low priority, and one
 * on a socket with those of high priority.
 *
 * Builds wait in their machine until the test publishes the file that they ask for, so nothing here depends on how fast
 * the host is.
 */
import assert from "node:assert/strict";
import { mkdir, readFile, readdir, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { run } from "../../os/run.ts";
import { parseResultRequest } from "../../manifests/result-request.ts";
import { parseTaskRequest } from "../../manifests/task-request.ts";
import { FakeController } from "../agent/fake-controller.ts";
import { startService } from "../demo/service.ts";
import { startFarm, type BuildView, type Farm } from "../fixtures/farm.ts";
import { freePort } from "../fixtures/ports.ts";
import { bootstrappedMachine, copyTree } from "../fixtures/machines/ready-machines.ts";
import { packSource, script } from "../worker/sources.ts";
import { patienceSeconds } from "../fixtures/patience.ts";

const ramKiB = 192 * 1024;
/**
 * Tasks that give way to one of level D; without, only level C is tried in machines. (What agents decide on all levels is
 * tried without machines: test/agent/asking/acquire-machine.real.ts.)
 */
const lowerTasks = Number(process.env["CROFT_LOWER_TASKS"] ?? 0);
const inNumbers = lowerTasks > 0 ? test : () => {};

let farm: Farm;
/** Its paths are controllers of different priority. */
let urgent: FakeController;
/** Machine of the next task, by path. */
let urgentTasks: Record<string, string>;
let tftpPort: number;

before(async () => {
  farm = await startFarm({ machine: "minimal", from: "kept", ramKiB, controller: "retries: 0\n" });
  urgent = await FakeController.start();
  tftpPort = (await freePort()) - 10;
  for (const name of ["low", "urgent"])
    await packSource(farm.sources, { ".croft/update": waitingBuild(name) }, `${name}-1.0.tar.gz`);
});

after(async () => {
  await urgent[Symbol.asyncDispose]();
  await farm[Symbol.asyncDispose]();
});

beforeEach(async () => {
  urgentTasks = {};
  urgent.received.length = 0;
  let session = 0;
  urgent.answer = ({ path }) => {
    if (path === "/result") return { status: 204 };
    const machine = urgentTasks[path];
    delete urgentTasks[path];
    if (machine === undefined) return { body: ": 1\nsession:\n" };
    const head = `: 1\nsession: urgent-${++session}\nresult-url: ${urgent.url("/result")}\n`;
    const source = `repository-url: ${farm.guestUrl("/")}\nrepository-type: pkg\n`;
    const task = `name: urgent\nversion: 1.0\n${source}machine: ${machine}\ntarget: x86_64-linux-gnu\n`;
    return { body: `${head}:\n${task}` };
  };
  for (const name of ["low", "urgent"]) await rm(join(farm.sources.directory, `go-${name}`), { force: true });
});

/** A build that says what its machine has, and ends when the file `go-<name>` is there. */
function waitingBuild(name: string): string {
  return script(
    'echo "processors $(nproc), memory $(sed -n "s/MemTotal: *//p" /proc/meminfo)"',
    `until wget -q -O /dev/null ${farm.guestUrl(`/go-${name}`)}; do sleep 0.5; done`,
    "echo built",
  );
}

async function go(name: string): Promise<void> {
  await writeFile(join(farm.sources.directory, `go-${name}`), "");
}

/** An agent of the host, with its log. */
interface Agent extends AsyncDisposable {
  /** Waits until it has logged something so many times. */
  until(pattern: RegExp, count?: number): Promise<void>;
  log(): Promise<string>;
}

/** Starts an agent for the real controller, at priority 0, and the urgent one's path. */
function startAgent(instance: number, instanceMax: number, urgentUrl: string): Agent {
  const at = (name: string) => join(farm.directory, name);
  const places = ["tftp", "spool", "runtime"].flatMap((name) => [`--${name}`, at(name)]);
  const args = [
    ...["agent", "--verbose", "4", "--machines", farm.machines, ...places, "--ram", String(ramKiB)],
    ...["--toolchain-lock", farm.toolchainLock, "--tftp-port", String(tftpPort), "--poll-interval", "1"],
    ...["--instance", String(instance), "--instance-max", String(instanceMax)],
    // A guest whose kernel hangs, as one with two emulated processors may on a busy host, is started again in time.
    ...["--startup-timeout", String(patienceSeconds / 3), urgentUrl, `0000=${farm.url}/agent/task`],
  ];
  const service = startService("agent", args, at(`agent-${instance}.log`));
  const log = () => readFile(service.log, "utf8");
  return {
    log,
    until: async (pattern, count = 1) => {
      const global = new RegExp(pattern, "g");
      await until(async () => ((await log()).match(global)?.length ?? 0) >= count, log);
    },
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
}

/** Waits for something outside of this process, with a deadline. */
async function until(condition: () => Promise<boolean>, describe: () => Promise<string>): Promise<void> {
  const deadline = Date.now() + patienceSeconds * 1000;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, await describe());
    await delay(100);
  }
}

const buildStates = async (ids: number[]) => Promise.all(ids.map(async (id) => (await farm.view(id)).state));
const attempts = (build: BuildView) =>
  (build.attempts as { status: string | null }[]).map(({ status }) => status);

/** The next result that the urgent controller gets. */
async function urgentResult(): Promise<{ status: string; log: string }> {
  const [sent] = await urgent.requests("/result", 1, patienceSeconds);
  const { result } = parseResultRequest(sent!.body);
  return { status: result.status, log: result.operations.map(({ log }) => log).join("") };
}

test("level C: a task on the only machine gives way, and is built again after the one it gave way to", async () => {
  const id = await farm.submit({ name: "low" });
  const url = `0100=${urgent.url("/c")}`;
  await using first = startAgent(1, 2, url);
  await first.until(/machine is up/); // its task runs
  await using second = startAgent(2, 2, url);
  await second.until(/waiting for a machine/);
  const idle = urgent.received.at(-1)!;
  assert.deepEqual(
    parseTaskRequest(idle.body).machines.map(({ name }) => name),
    ["minimal"],
    "a machine that is not free is offered to the one that may interrupt",
  );
  urgentTasks["/c"] = "minimal";
  await first.until(/task interrupted/);
  await second.until(/machine is up/);
  await farm.until(id, patienceSeconds, ({ state }) => state === "queued");
  await go("urgent");
  const { status, log } = await urgentResult();
  assert.deepEqual([status, /built/.test(log)], ["success", true], log);
  await go("low");
  const build = await farm.ended(id, patienceSeconds);
  assert.deepEqual([build.status, attempts(build)], ["success", ["interrupt", "success"]]);
  const said = await second.log();
  assert.match(said, /interrupting a task of lower priority .*"machine":"minimal","priority":0,"holder":\d+/);
  assert.match(said, /interrupted task has given way/);
});

void inNumbers(
  "level B: while its task runs an idle instance does not ask for lower ones, with a machine free",
  async () => {
    await addMachines("second");
    const url = `0010=${urgent.url("/b")}`;
    urgentTasks["/b"] = "minimal";
    await using first = startAgent(1, 2, url);
    await first.until(/machine is up/);
    const id = await farm.submit({ name: "low" });
    await using second = startAgent(2, 2, url);
    await second.until(/controller not asked .*a running task holds it back/, 3);
    assert.deepEqual(await buildStates([id]), ["queued"]);
    const { machines } = parseTaskRequest(urgent.received.at(-1)!.body);
    assert.deepEqual(
      machines.map(({ name }) => name),
      ["second"],
      "the same level is asked, with what is free",
    );
    await go("urgent");
    await go("low");
    assert.equal((await urgentResult()).status, "success");
    const build = await farm.ended(id, patienceSeconds);
    assert.deepEqual([build.status, attempts(build)], ["success", ["success"]]);
  },
);

void inNumbers(
  "level D with F: all running builds give way, and its machine has what all instances have together",
  async () => {
    const machines = ["minimal", "second", "third"].slice(0, lowerTasks);
    await addMachines(...machines);
    const ids = await Promise.all(machines.map(() => farm.submit({ name: "low" })));
    const url = `11000=${urgent.url("/d")}`;
    await using agents = new AsyncDisposableStack();
    const lower = ids.map((_, at) => agents.use(startAgent(at + 1, lowerTasks, url)));
    await Promise.all(lower.map((agent) => agent.until(/machine is up/)));
    assert.deepEqual(
      await buildStates(ids),
      ids.map(() => "building"),
    );
    const last = agents.use(startAgent(lowerTasks + 1, lowerTasks, url));
    await last.until(/waiting for a task of higher priority: all instances are busy/);
    urgentTasks["/d"] = "second";
    await last.until(new RegExp(`"phase":"interrupting".*${lowerTasks} of lower priority`));
    await Promise.all(lower.map((agent) => agent.until(/task interrupted/)));
    await last.until(/machine is up/);
    // Idle again, they do not disturb it: a task of lower priority is not even asked for.
    const before = await Promise.all(lower.map(countHeldBack));
    await Promise.all(lower.map((agent, index) => agent.until(heldBack, before[index]! + 2)));
    assert.deepEqual(
      await buildStates(ids),
      ids.map(() => "queued"),
    );
    await go("urgent");
    const { status, log } = await urgentResult();
    assert.equal(status, "success", log);
    const [, processors, memory] = /processors (\d+), memory (\d+) kB/.exec(log) ?? [];
    assert.equal(Number(processors), Math.min(lowerTasks, availableParallelism()));
    assert.ok(Number(memory) > (lowerTasks - 1) * ramKiB && Number(memory) <= lowerTasks * ramKiB, log);
    await go("low");
    for (const id of ids) {
      const build = await farm.ended(id, patienceSeconds);
      assert.deepEqual([build.status, attempts(build)], ["success", ["interrupt", "success"]]);
      assert.match(await farm.log(id), /processors 1, memory 1\d{5} kB/);
    }
    await agents.disposeAsync(); // whose machines end while results are sent, and who keep one ahead
    for (const name of machines) {
      const left = (await readdir(join(farm.machines, "volume", name))).filter((entry) =>
        /-default-\d/.test(entry),
      );
      assert.deepEqual(left, [], "no snapshot is left");
    }
  },
);

const heldBack = /controller not asked .*a running task holds it back/;

async function countHeldBack(agent: Agent): Promise<number> {
  return (await agent.log()).match(new RegExp(heldBack, "g"))?.length ?? 0;
}

/** Further machines like the first, which is bootstrapped; those that are there already stay. */
async function addMachines(...names: string[]): Promise<void> {
  const volume = join(farm.machines, "volume");
  const revision = await realpath(join(volume, "minimal", "minimal-1"));
  const bootstrapped = await bootstrappedMachine();
  const present = await readdir(volume);
  for (const name of names.filter((name) => !present.includes(name))) {
    const home = join(volume, `.${name}`);
    await mkdir(home);
    await copy(revision, join(home, `${name}-1.1`), name);
    await copy(bootstrapped, join(home, `${name}-default`), name);
    await symlink(`${name}-1.1`, join(home, `${name}-1`));
    // Whoever is idle would save it, and not offer it meanwhile.
    await writeFile(join(home, "no-warm"), "");
    await run(["mv", join(volume, `.${name}`), join(volume, name)], { timeoutSeconds: 300 });
  }
}

async function copy(from: string, to: string, name: string): Promise<void> {
  await copyTree(from, to);
  const manifest = await readFile(join(from, "manifest"), "utf8");
  const renamed = manifest
    .replace(/^id: minimal/m, `id: ${name}`)
    .replace(/^name: minimal/m, `name: ${name}`);
  await writeFile(join(to, "manifest"), renamed);
}
