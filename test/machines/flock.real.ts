/** Agents' processes and shells with flock(1) contend for the same locks; some holders are killed. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { silentLog } from "../../os/log.ts";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { machinePaths, manifestPath, type MachinePaths } from "../../machines/layout.ts";
import { MachineLock, readHolder, tryMachineLock } from "../../machines/locks.ts";
import { takeToolchainLock } from "../../machines/toolchain-lock.ts";
import { parseResultRequest } from "../../manifests/result-request.ts";
import { parseTaskRequest } from "../../manifests/task-request.ts";
import { FakeController } from "../agent/fake-controller.ts";
import { AgentHome, task } from "../agent/running-agent.ts";
import { machineManifest } from "./farm.ts";
import { checkJournal, countOf, shellHolder } from "./lock-journal.ts";

const deadlineSeconds = 1500;

/** How often the machine is locked while others fight for it. */
const times = Number(process.env["CROFT_LOCK_TIMES"] ?? 150);

interface Ground extends AsyncDisposable {
  directory: string;
  toolchainLock: string;
  journal: string;
  /** Shells go on while it is there. */
  go: string;
  paths: MachinePaths;
  /** Starts a process that takes the locks over and over, or keeps them. */
  holder(hold?: "hold"): ChildProcess;
  /** Starts a shell that takes a lock over and over, and removes its file every so many times. */
  shell(name: "machine" | "toolchain", nth: number): ChildProcess;
}

async function makeGround(): Promise<Ground> {
  const temporary = await temporaryDirectory("croft-test-locks-");
  const at = (name: string) => join(temporary.path, name);
  const [directory, toolchainLock, journal, go] = [
    at("machines"),
    at("toolchain.lock"),
    at("journal"),
    at("go"),
  ];
  const paths = machinePaths(directory, "v", "m", "gcc");
  mkdirSync(paths.directory, { recursive: true });
  writeFileSync(go, "");
  writeFileSync(journal, "");
  const script = join(import.meta.dirname, "lock-holder.ts");
  return {
    ...{ directory, toolchainLock, journal, go, paths },
    holder: (hold) =>
      spawn(process.execPath, [script, toolchainLock, directory, journal, ...(hold ? [hold] : [])], {
        stdio: ["pipe", "pipe", "inherit"],
      }),
    shell: (name, nth) => {
      const lock = name === "machine" ? paths.lock : toolchainLock;
      const argv = ["-c", shellHolder, "bash", name, lock, journal, go, String(nth)];
      return spawn("bash", argv, { stdio: ["ignore", "ignore", "inherit"] });
    },
    [Symbol.asyncDispose]: () => temporary[Symbol.asyncDispose](),
  };
}

test("two agents' processes and shells with flock(1): locked again and again, never by two, though files are removed and holders killed", async () => {
  await using ground = await makeGround();
  const killed = new Set<number>();
  const ends: Promise<unknown>[] = [];
  const current: ChildProcess[] = [];
  const start = (index: number) => {
    const child = ground.holder();
    current[index] = child;
    const ended = once(child, "exit").then(([status, signal]) => {
      if (signal === "SIGKILL") start(index);
      else assert.equal(status, 0);
    });
    ended.catch(() => {});
    ends.push(ended);
  };
  start(0);
  start(1);
  const shells = [ground.shell("machine", 20), ground.shell("toolchain", 20)];
  const shellEnds = shells.map((shell) => once(shell, "exit"));
  const deadline = Date.now() + deadlineSeconds * 1000;
  let acquisitions = checkJournal(ground.journal, killed);
  for (let turn = 0; countOf(acquisitions, "machine") < times; turn++) {
    assert.ok(Date.now() < deadline, `${countOf(acquisitions, "machine")} times only`);
    await sleep(Math.random() * 300);
    const victim = current[turn % 2]!;
    // Young ones are left alone: killed while they start, they would never hold anything.
    if (turn % 3 === 0 && countOf(acquisitions, "toolchain", [victim.pid!]) > 0) {
      killed.add(victim.pid!);
      victim.kill("SIGKILL");
    }
    acquisitions = checkJournal(ground.journal, killed);
  }
  rmSync(ground.go);
  for (const [status] of await Promise.all(shellEnds)) assert.equal(status, 0);
  for (let count = -1; count !== ends.length;) {
    count = ends.length;
    for (const child of current) child.stdin!.end();
    await Promise.all(ends);
  }
  acquisitions = checkJournal(ground.journal, killed);
  const [byShell, all] = [
    countOf(acquisitions, "machine", [shells[0]!.pid!]),
    countOf(acquisitions, "machine"),
  ];
  assert.ok(byShell > times / 10 && all - byShell > times / 10, `${byShell} of ${all} by the shell`);
  assert.ok(killed.size > 0);
});

test("kill -9 of a holder frees its locks at once, and its line is not believed", async () => {
  await using ground = await makeGround();
  const flock = async (path: string) =>
    (await run(["flock", "--nonblock", path, "true"], { timeoutSeconds: 300, accept: [1] })).status;
  for (let round = 0; round < 2; round++) {
    const holder = ground.holder("hold");
    await once(holder.stdout!, "data");
    assert.deepEqual(readHolder(ground.paths.lock), { pid: holder.pid, priority: 1000 });
    assert.deepEqual([await flock(ground.paths.lock), await flock(ground.toolchainLock)], [1, 1]);
    holder.kill("SIGKILL");
    await once(holder, "exit");
    assert.equal(readFileSync(ground.paths.lock, "utf8"), `${holder.pid} 1000`);
    if (round % 2 === 0) {
      assert.deepEqual(readHolder(ground.paths.lock), {});
      assert.deepEqual([await flock(ground.paths.lock), await flock(ground.toolchainLock)], [0, 0]);
    } else {
      using toolchainLock = await takeToolchainLock(
        ground.toolchainLock,
        silentLog(),
        AbortSignal.timeout(1),
      );
      using lock = tryMachineLock(toolchainLock, ground.paths) as MachineLock;
      assert.ok(lock instanceof MachineLock);
      assert.equal(readFileSync(ground.paths.lock, "utf8"), "");
    }
  }
});

/** A machine that is bootstrapped without being started. */
function makeMachine(home: AgentHome): void {
  const paths = machinePaths(home.at("machines"), "v", "m", "default");
  mkdirSync(`${paths.current}.1`, { recursive: true });
  writeFileSync(manifestPath(`${paths.current}.1`), machineManifest("m", "m-1"));
  symlinkSync("m-1.1", paths.current);
}

test("two agents and a shell with flock(1) on the same machine: each task has it alone, all results come", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  makeMachine(home);
  const journal = home.at("journal");
  const tasks = Math.min(100, times / 3);
  let sessions = 0;
  let requests = 0;
  controller.answer = async ({ path, body }) => {
    if (!path.startsWith("/task")) return { status: 204 };
    const { machines } = parseTaskRequest(body);
    assert.deepEqual(
      machines.map(({ name }) => name),
      ["m"],
    );
    // Whoever asks has the machine, at least until it has its answer.
    const request = ++requests;
    await appendFile(journal, `enter machine -${request}\n`);
    await sleep(Math.random() * 5);
    await appendFile(journal, `leave machine -${request}\n`);
    const response = `: 1\nsession: s${++sessions}\nresult-url: ${controller.url("/result")}\n:\n${task}`;
    return { body: sessions > tasks ? ": 1\nsession:\n" : response };
  };
  writeFileSync(home.at("go"), "");
  writeFileSync(journal, "");
  const lock = join(home.at("machines", "v", "m"), "m-default.lock");
  const shell = spawn("bash", ["-c", shellHolder, "bash", "machine", lock, journal, home.at("go"), "20"], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const agents = [1, 2].map((instance) =>
    home.start(
      ["--instance", String(instance), "--fake-bootstrap", "--fake-build", controller.url("/task")],
      {
        fake: false,
      },
    ),
  );
  const results = await controller.requests("/result", tasks, deadlineSeconds);
  rmSync(home.at("go"));
  assert.equal((await once(shell, "exit"))[0], 0);
  for (const { child, ended } of agents) {
    child.kill("SIGTERM");
    assert.equal((await ended).status, 0);
  }
  const acquisitions = checkJournal(journal, new Set());
  assert.ok(countOf(acquisitions, "machine", [shell.pid!]) > 10);
  const told = results.map(({ body }) => parseResultRequest(body).session);
  assert.equal(new Set(told).size, tasks);
  assert.ok(existsSync(home.at("spool", "default-2")));
});
