/** However a worker ends, so does all that it has started; nothing of it holds what the boss waits for. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { packageFile } from "../../../os/files/package.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../../os/files/temporary.ts";
import { isRunning } from "../../fixtures/processes.ts";
import { git, makeSourceHistory, type SourceHistory } from "../../fixtures/source-history.ts";
import { WorkerProcess } from "./worker-process.ts";
import { patienceMs } from "../../fixtures/patience.ts";

/** What a build starts: make with compilers, a child whose parent and environment have gone, one in a session of its own. */
const makefile = `all: one two three
one:
	@echo $$$$ >> pids; exec sleep 1000
two:
	@sh -c 'env -i sleep 1000 & echo $$! >> pids'; echo $$$$ >> pids; exec sleep 1000
three:
	@setsid sleep 1000 & echo $$! >> pids; echo $$$$ >> pids; mkfifo source.c; exec gcc -c source.c
`;
const startedByMakefile = 5;

describe("the end of a worker", () => {
  let place: TemporaryDirectory;
  let history: SourceHistory;
  let lock: string;
  let worker: WorkerProcess;

  before(async () => {
    place = await temporaryDirectory("croft-test-");
    lock = join(place.path, "lock");
    history = makeSourceHistory(join(place.path, "source"), { a: {} }, [{}]);
    writeFileSync(join(history.directory, "Makefile"), makefile);
    git(history.directory, ["commit", "--quiet", "--all", "-m", "slow"]);
  });
  after(() => place[Symbol.asyncDispose]());

  // As a boss's start script has it: the lock is a descriptor that the worker inherits.
  beforeEach(async () => {
    const descriptor = openSync(lock, "w");
    execFileSync("flock", ["--exclusive", "--nonblock", "3"], { stdio: [0, 1, 2, descriptor] });
    worker = new WorkerProcess({ workDir: history.directory, stdio: ["pipe", "pipe", "pipe", descriptor] });
    closeSync(descriptor);
    await worker.expect("ready");
  });
  afterEach(() => worker[Symbol.asyncDispose]());

  /** Starts the slow build; its processes, and what else the worker has started. */
  async function startBuild(): Promise<number[]> {
    const file = join(history.directory, ".croft-worker/00/pids");
    const source = join(history.directory, ".croft-worker/00/source.c");
    for (const old of [file, source]) rmSync(old, { force: true });
    worker.send({ cmd: "configure", settings: { recipe: { build: "make -j8" } }, toolchains: {} });
    worker.send({ cmd: "build_prepare", commits: ["HEAD"] });
    worker.send({ cmd: "build_board", board: "a" });
    const pids = () => (existsSync(file) ? readFileSync(file, "utf8").trim().split("\n").map(Number) : []);
    await eventually(() => pids().length === startedByMakefile);
    let all: number[] = [];
    await eventually(() => {
      all = [...new Set([...pids(), ...descendants(worker.pid)])];
      return all.some((pid) => /\bcc1\b/.test(commandLine(pid))); // waits for the source's writer
    });
    assert.ok(all.length >= startedByMakefile + 4, "a shell, make, the compiler, the guard");
    return all;
  }

  function isLocked(): boolean {
    try {
      execFileSync("flock", ["--exclusive", "--nonblock", lock, "true"], { stdio: "ignore" });
      return false;
    } catch {
      return true;
    }
  }

  const endings: Record<string, () => unknown> = {
    "kill -9": () => worker.child.kill("SIGKILL"),
    SIGTERM: () => worker.child.kill("SIGTERM"),
    "the end of its input": () => worker.child.stdin!.end(),
    quit: () => worker.send({ cmd: "quit" }),
    "a boss that has gone": () => {
      worker.child.stdout!.destroy();
      worker.child.stderr!.destroy();
      worker.send({ cmd: "configure", settings: {}, toolchains: {} });
    },
    "kill -9 of its whole process group": () => process.kill(-worker.pid, "SIGKILL"),
  };
  for (const [name, end] of Object.entries(endings))
    it(`by ${name}, in the midst of a build: all is gone, and the lock is free`, async () => {
      const pids = await startBuild();
      assert.ok(isLocked());
      end();
      await worker.exited;
      assert.ok(!isLocked(), "nothing else has the lock");
      await eventually(() => !pids.some(isRunning), () => `still running: ${pids.filter(isRunning).join(" ")}`); // prettier-ignore
    });

  it("by quit is told before it is done", async () => {
    await startBuild();
    worker.send({ cmd: "build_done" });
    worker.send({ cmd: "configure", settings: {}, toolchains: {} });
    worker.send({ cmd: "quit" });
    const all = await worker.until("quit_ack");
    assert.ok(!all.some(({ resp }) => resp === "build_done" || resp === "build_result"));
    assert.equal(await worker.exited, 0);
  });

  it("finds its guard replaced, should that have been killed", async () => {
    const guards = () => descendants(worker.pid).filter((pid) => commandLine(pid).includes("croft-guard"));
    const [first] = guards();
    process.kill(first!, "SIGKILL");
    await eventually(() => guards().length === 1 && guards()[0] !== first);
    const pids = await startBuild();
    const [second] = guards();
    process.kill(second!, "SIGKILL");
    await eventually(() => guards().length === 1 && guards()[0] !== second);
    pids.push(...guards());
    worker.child.kill("SIGKILL");
    await eventually(() => !pids.some(isRunning));
  });

  it("leaves neither guard nor builds with a descriptor of the boss", async () => {
    const pids = await startBuild();
    const held = (pid: number) =>
      readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
    const [input, output, errors] = [0, 1, 2].map((fd) => readlinkSync(`/proc/${worker.pid}/fd/${fd}`));
    assert.ok(held(worker.pid).includes(lock));
    for (const pid of pids)
      for (const one of [input!, output!, errors!, lock])
        assert.ok(!held(pid).includes(one), `${commandLine(pid)} has ${one}`);
  });
});

describe("a worker at a boss's whose output nobody reads", () => {
  it("goes on, and sees the end of its input", async () => {
    const args = [packageFile("worker", "remote", "main.ts")];
    const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
    const line = `${JSON.stringify({ cmd: "x".repeat(10_000) })}\n`;
    for (let sent = 0; sent < 1000; sent++) child.stdin.write(line); // 10 MB of errors to answer
    child.stdin.end();
    const [status] = (await once(child, "exit")) as [number | null];
    assert.equal(status, 0);
    child.stdout.destroy();
  });
});

async function eventually(check: () => boolean, explain = () => "it did not come about"): Promise<void> {
  for (const deadline = Date.now() + patienceMs; !check(); await delay(20))
    if (Date.now() > deadline) assert.fail(explain());
}

/** All processes below one. */
function descendants(pid: number): number[] {
  const table = execFileSync("ps", ["-eo", "pid=,ppid="], { encoding: "utf8" });
  const pairs = Array.from(table.matchAll(/(\d+) +(\d+)/g), (match) => [Number(match[1]), Number(match[2])]);
  const below = (parent: number): number[] =>
    pairs.filter(([, above]) => above === parent).flatMap(([child]) => [child!, ...below(child!)]);
  return below(pid).filter(isRunning);
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}
