/** A run whose workers are made up, on a clock that the test moves. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { Host } from "../../../boss/hosts/hosts.ts";
import { Matrix } from "../../../boss/matrix/matrix.ts";
import { combineObservers, type PartialObserver } from "../../../boss/dispatch/observers.ts";
import { Pool } from "../../../boss/dispatch/pool.ts";
import { Run, type RunOptions } from "../../../boss/dispatch/run.ts";
import { BusyFailure } from "../../../boss/hosts/start.ts";
import { Failure } from "../../../os/failure.ts";
import { isDiskFull } from "../../../worker/disk-full.ts";
import type { BuildResult, Command, Response } from "../../../worker/protocol.ts";
import { WorkerDouble, type Answers } from "./worker-double.ts";

const host: Host = { name: "alpha", destination: "alpha", workDirectory: "~/w" };
const beta = { ...host, name: "beta" };

const full = "ld: final link failed: No space left on device\n";

const resultOf = (board: string, more: Partial<BuildResult> = {}): BuildResult => ({
  ...{ resp: "build_result", board, commit_upto: 0, return_code: 0, stderr: "", stdout: "", load_avg: 0 },
  ...more,
});

/** A worker that builds what it is given. */
function builds(more: Partial<BuildResult> = {}): Answers {
  const answers: Partial<Record<Command["cmd"], (command: Command) => Response | Response[]>> = {
    build_prepare: () => ({ resp: "build_prepare_done" }),
    build_board: (command) => (command.cmd === "build_board" ? resultOf(command.board, more) : []),
    build_boards: (command) => [
      ...(command.cmd === "build_boards" ? command.boards : []).map(({ board }) => resultOf(board, more)),
      { resp: "build_done", exceptions: 0 },
    ],
    build_done: () => ({ resp: "build_done", exceptions: 0 }),
  };
  return (command) => answers[command.cmd]?.(command);
}

function optionsFor(hosts: readonly Host[], targets = ["t"]): RunOptions {
  const matrix = new Matrix(
    targets.map((name) => ({ name, arch: "sandbox" })),
    [{ hash: "0".repeat(40), subject: "" }],
  );
  return {
    ...{ hosts, matrix, batch: false, buildTimeoutSeconds: 300, silentBuildSeconds: 300 },
    longestBuildSeconds: 3600,
    observer: combineObservers([]),
    pool: new Pool(matrix.targets, [...matrix.targets.keys()]),
    start: () => Promise.reject(new Error("not expected")),
    signal: new AbortController().signal,
  };
}

/** Starts workers in the order of the list, whichever host they are for. */
function inTurn(...workers: readonly (WorkerDouble | Error)[]): RunOptions["start"] {
  const left = [...workers];
  return async () => {
    const next = left.shift() ?? assert.fail("one more worker is started");
    if (next instanceof WorkerDouble) return next;
    throw next;
  };
}

/** Notes in words what an observer is told. */
function notes(): { told: string[]; observer: PartialObserver } {
  const told: string[] = [];
  const note = (text: string) => void told.push(text);
  const observer: PartialObserver = {
    starting: ({ name }) => note(`${name}: starting`),
    started: ({ name }, threads, slots) => note(`${name}: started, ${threads} threads, ${slots} slots`),
    notStarted: ({ name }, reason, busy) => note(`${name}: not started: ${reason}${busy ? ", busy" : ""}`),
    lost: ({ name }, reason, restarting) => note(`${name}: lost: ${reason}${restarting ? ", again" : ""}`),
    result: ({ name }, target, commit) => note(`${name}: result ${target} ${commit}`),
    given: ({ name }, target) => note(`${name}: given ${target}`),
    complete: ({ name }, target) => note(`${name}: complete ${target}`),
    gaveUp: (target, reason) => note(`given up ${target}: ${reason}`),
    note: ({ name }, text) => note(`${name}: ${text}`),
  };
  return { told, observer };
}

test("a run without any host ends at once, and says what remains", async () => {
  for (const batch of [false, true]) {
    const outcome = await new Run({ ...optionsFor([]), batch }).run();
    assert.deepEqual([outcome.remaining, outcome.workers], [[0], 0]);
  }
});

test("everybody who looks on is told what happens, in order; bytes are counted by host", async () => {
  const [one, two] = [notes(), notes()];
  const worker = new WorkerDouble(host, builds());
  Object.assign(worker, { threads: 4, bytesSent: 30, bytesReceived: 500 });
  const outcome = await new Run({
    ...optionsFor([{ ...host, maxBuilds: 3 }], ["a", "b"]),
    start: inTurn(worker),
    observer: combineObservers([one.observer, {}, two.observer]),
  }).run();
  assert.deepEqual(one.told, [
    "alpha: starting",
    "alpha: started, 4 threads, 3 slots",
    "alpha: given 0",
    "alpha: given 1",
    "alpha: result 0 0",
    "alpha: complete 0",
    "alpha: result 1 0",
    "alpha: complete 1",
  ]);
  assert.deepEqual(two.told, one.told);
  assert.deepEqual(
    worker.sent.map(({ cmd }) => cmd),
    [...["build_prepare", "build_board", "build_board", "build_done", "quit"]],
  );
  const traffic = [{ host: "alpha", sent: 30, received: 500 }];
  assert.deepEqual(outcome, { remaining: [], interrupted: false, workers: 1, traffic });
});

test("a worker that is lost is started once more, in its place; a second loss is its host's last", async () => {
  const { told, observer } = notes();
  const [first, second] = [new WorkerDouble(host), new WorkerDouble(host)];
  Object.assign(first, { lastComplaint: "Killed", bytesSent: 1, bytesReceived: 10 });
  Object.assign(second, { bytesSent: 2, bytesReceived: 20 });
  const replaced: (number | undefined)[] = [];
  const start = inTurn(first, second);
  const ended = new Run({
    ...optionsFor([host]),
    start: (on, signal, pid) => {
      replaced.push(pid);
      return start(on, signal, pid);
    },
    observer: combineObservers([observer]),
  }).run();
  await first.say({ resp: "build_prepare_done" });
  first.die("it ended with status 1");
  await second.say({ resp: "build_prepare_done" });
  second.die("it ended with status 2");
  const outcome = await ended;
  assert.deepEqual(told, [
    "alpha: starting",
    "alpha: started, 1 threads, 1 slots",
    "alpha: given 0",
    "alpha: lost: it ended with status 1 (Killed), again",
    "alpha: starting",
    "alpha: started, 1 threads, 1 slots",
    "alpha: given 0",
    "alpha: lost: it ended with status 2",
    "given up 0: it was being built on 2 workers that were lost, the last: it ended with status 2",
  ]);
  assert.deepEqual(replaced, [undefined, 4711]);
  assert.ok(first.dropped && second.dropped);
  const traffic = [{ host: "alpha", sent: 3, received: 30 }];
  assert.deepEqual(outcome, { remaining: [0], interrupted: false, workers: 2, traffic });
});

test("what a worker complained of is said once", async () => {
  const { told, observer } = notes();
  const worker = new WorkerDouble(host);
  worker.lastComplaint = "no such file";
  const start = inTurn(worker, new BusyFailure(host, "12"));
  const ended = new Run({ ...optionsFor([host]), start, observer: combineObservers([observer]) }).run();
  (await worker.listener).broken("line 3: no such file");
  assert.deepEqual((await ended).remaining, [0]);
  assert.deepEqual(told.slice(2), [
    "alpha: lost: line 3: no such file, again",
    "alpha: starting",
    "alpha: not started: Cannot use host alpha: another boss is using '~/w' there (process 12), busy",
  ]);
});

test("a worker without the toolchain for what is left is not waited for, nor is a host that does not start", async () => {
  const { told, observer } = notes();
  const options = optionsFor([host, beta]);
  const matrix = new Matrix([{ name: "t", arch: "arm" }], options.matrix.commits);
  for (const batch of [false, true]) {
    const pool = new Pool(matrix.targets, [0]);
    const start = inTurn(new WorkerDouble(host), new Failure("start", "no such host"));
    const run = { ...options, matrix, pool, batch, start, observer: combineObservers([observer]) };
    assert.deepEqual((await new Run(run).run()).remaining, [0]);
    assert.equal(told.at(-1), "beta: not started: Cannot start: no such host");
  }
});

test("a worker has what its host says it has a toolchain for", async () => {
  const options = optionsFor([host]);
  const matrix = new Matrix([{ name: "t", arch: "arm" }], options.matrix.commits);
  const worker = new WorkerDouble(host, builds());
  worker.architectures.add("arm");
  const pool = new Pool(matrix.targets, [0]);
  assert.deepEqual((await new Run({ ...options, matrix, pool, start: inTurn(worker) }).run()).remaining, []);
});

test("in batch mode shares are given when all hosts are there; one that is started again gets the rest", async () => {
  const hosts = [host, beta];
  const [first, second, again] = [
    new WorkerDouble(host),
    new WorkerDouble(beta),
    new WorkerDouble(beta, builds()),
  ];
  Object.assign(first, { capacity: 3 });
  const late = Promise.withResolvers<void>();
  const start = inTurn(first, second, again);
  const run = new Run({
    ...optionsFor(hosts, ["a", "b", "c", "d"]),
    batch: true,
    start: async (on, signal) => {
      const worker = await start(on, signal);
      if (worker === second) await late.promise;
      return worker;
    },
  });
  const ended = run.run();
  await first.listener;
  assert.deepEqual(first.sent, [], "its share is not known yet");
  late.resolve();
  await second.listener;
  await new Promise((resolve) => setImmediate(resolve));
  const boards = ({ sent }: WorkerDouble) =>
    sent.flatMap((command) =>
      command.cmd === "build_boards" ? command.boards.map(({ board }) => board) : [],
    );
  assert.deepEqual([boards(first), boards(second)], [["a", "b", "c"], ["d"]]);
  assert.deepEqual(run.dispatch.workerState("alpha")?.inFlight, new Set([0, 1, 2]));
  await first.say(...["a", "b", "c"].map((board) => resultOf(board)));
  second.die("killed");
  assert.deepEqual((await ended).remaining, []);
  assert.deepEqual(boards(first).concat(boards(again)).length, 4, "built by one of the two that were left");
});

test("a run that is interrupted tells the workers to quit, and waits half a second for those that do not", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const abort = new AbortController();
    const workers = [new WorkerDouble(host), new WorkerDouble(beta)];
    workers[1]!.obeys = false;
    const { told, observer } = notes();
    const ended = new Run({
      ...optionsFor([host, beta], ["a", "b"]),
      start: inTurn(...workers),
      signal: abort.signal,
      observer: combineObservers([observer]),
    }).run();
    for (const worker of workers) await worker.listener;
    abort.abort();
    while (workers.some(({ sent }) => sent.at(-1)?.cmd !== "quit"))
      await new Promise((resolve) => setImmediate(resolve));
    mock.timers.tick(499);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(
      workers.map(({ dropped }) => dropped),
      [false, false],
    );
    mock.timers.tick(1);
    const { interrupted, remaining } = await ended;
    assert.deepEqual([interrupted, remaining], [true, [0, 1]]);
    assert.ok(workers.every(({ dropped }) => dropped));
    assert.ok(!told.some((text) => text.includes("lost")), "no worker is lost that was told to end");
  } finally {
    mock.timers.reset();
  }
});

test("a run that was interrupted before, or has nothing to build, starts nothing", async () => {
  const aborted = { ...optionsFor([host]), signal: AbortSignal.abort() };
  assert.deepEqual((await new Run(aborted).run()).interrupted, true);
  const matrix = new Matrix([{ name: "t", arch: "sandbox" }], [{ hash: null, subject: "" }], () => true);
  const { workers, remaining } = await new Run({ ...optionsFor([host]), matrix }).run();
  assert.deepEqual([workers, remaining], [0, []]);
});

test("a result that cannot be written ends the run with the reason", async () => {
  const worker = new WorkerDouble(host, builds());
  const result = () => {
    throw new Failure("write 'x'", "no space left on device");
  };
  const observer = combineObservers([{ result }]);
  await assert.rejects(
    new Run({ ...optionsFor([host]), start: inTurn(worker), observer }).run(),
    /no space left/,
  );
  assert.ok(worker.dropped);
});

test("a boss that was stopped for long does not blame the workers, but one that hangs is lost", async () => {
  mock.timers.enable({ apis: ["setInterval"] });
  try {
    let now = 0;
    const lost: string[] = [];
    const worker = new WorkerDouble(host);
    worker.threads = 0;
    const run = new Run({
      ...optionsFor([host]),
      now: () => now,
      start: inTurn(worker, new Error("once is enough")),
      observer: combineObservers([{ lost: (_host, reason) => void lost.push(reason) }]),
    });
    const ended = run.run();
    await worker.say({ resp: "build_prepare_done" });
    assert.deepEqual(
      worker.sent.map(({ cmd }) => cmd),
      ["build_prepare", "build_board", "build_done"],
      "it is given work, though it claims no thread",
    );
    mock.timers.tick(250);
    now += 3_600_000;
    mock.timers.tick(250);
    assert.deepEqual(lost, []);
    const pass = (seconds: number) => {
      for (let passed = 0; passed < seconds; passed++) {
        now += 1000;
        mock.timers.tick(250);
      }
    };
    pass(299);
    const listener = await worker.listener;
    listener.alive();
    pass(299);
    listener.message({ resp: "heartbeat", board: "t", thread: 0 });
    pass(300);
    assert.deepEqual(lost, []);
    pass(1);
    assert.deepEqual(lost, ["no sign of life for 300 s"]);
    await assert.rejects(ended, /once is enough/);
  } finally {
    mock.timers.reset();
  }
});

test("a worker that never says anything is lost, too; one that has nothing to do is not", async () => {
  mock.timers.enable({ apis: ["setInterval"] });
  try {
    let now = 1000;
    const { told, observer } = notes();
    const hosts = [host, beta, { ...host, name: "gamma" }];
    const workers = hosts.map((on) => new WorkerDouble(on));
    const [silent, busy, idle] = workers as [WorkerDouble, WorkerDouble, WorkerDouble];
    for (const worker of [silent, busy]) worker.architectures.add("arm");
    const options = optionsFor(hosts);
    const matrix = new Matrix([{ name: "t", arch: "arm" }], options.matrix.commits);
    const ended = new Run({
      ...{ ...options, matrix, pool: new Pool(matrix.targets, [0]), now: () => now },
      start: inTurn(...workers, new Failure("start", "once is enough")),
      observer: combineObservers([observer]),
    }).run();
    await busy.say({ resp: "build_prepare_done" });
    await idle.listener;
    const sent = workers.map((worker) => worker.sent.map(({ cmd }) => cmd));
    assert.deepEqual(sent, [["build_prepare"], ["build_prepare", "build_board", "build_done"], []]);
    for (let seconds = 0; seconds <= 301; seconds++) {
      now += 1000;
      if (seconds % 100 === 0) await busy.say({ resp: "heartbeat", board: "t", thread: 0 });
      mock.timers.tick(250);
    }
    await busy.say(resultOf("t"));
    assert.deepEqual((await ended).remaining, []);
    const lost = told.filter((text) => text.includes("lost"));
    assert.deepEqual(lost, ["alpha: lost: no sign of life for 300 s, again"]);
  } finally {
    mock.timers.reset();
  }
});

test("a worker that says for ever that it builds loses its work to another host", async () => {
  mock.timers.enable({ apis: ["setInterval"] });
  try {
    let now = 1000;
    const { told, observer } = notes();
    const workers = [host, beta].map((on) => new WorkerDouble(on));
    const [beating, other] = workers as [WorkerDouble, WorkerDouble];
    beating.threads = 2;
    const matrix = new Matrix(
      [
        { name: "t", arch: "sandbox" },
        { name: "u", arch: "arm" },
      ],
      optionsFor([]).matrix.commits,
    );
    beating.architectures.add("sandbox");
    other.architectures.add("sandbox");
    other.architectures.add("arm");
    const ended = new Run({
      ...{ ...optionsFor([host, beta]), matrix, pool: new Pool(matrix.targets, [0, 1]), now: () => now },
      start: inTurn(beating, other, new Failure("start", "once is enough")),
      observer: combineObservers([observer]),
    }).run();
    for (const worker of workers) await worker.say({ resp: "build_prepare_done" });
    const boards = workers.map(({ sent }) =>
      sent.flatMap((each) => (each.cmd === "build_board" ? each.board : [])),
    );
    assert.deepEqual(boards, [["t"], ["u"]]);
    const beat = async (times: number) => {
      for (let count = 0; count < times; count++) {
        await beating.say({ resp: "heartbeat", board: "t", thread: 0 });
        await other.say({ resp: "heartbeat", board: "u", thread: 0 });
        for (let seconds = 0; seconds < 30; seconds++) {
          now += 1000;
          mock.timers.tick(250);
        }
      }
    };
    await beat(60);
    await other.say(resultOf("u"), { resp: "build_done", exceptions: 0 });
    await beat(59);
    now += 7200_000; // the boss slept
    mock.timers.tick(250);
    const lost = () => told.filter((text) => text.includes("lost"));
    assert.deepEqual(lost(), []);
    await beat(2);
    assert.deepEqual(lost(), [
      "alpha: lost: no result of 't' for 3600 s, though it says that it builds, again",
    ]);
    await other.say({ resp: "build_prepare_done" }, resultOf("t"));
    assert.deepEqual((await ended).remaining, []);
    assert.ok(told.includes("beta: complete 0"));
  } finally {
    mock.timers.reset();
  }
});

test("a build for which a disk was full is done elsewhere; that fills another one, too, has failed", async () => {
  const { told, observer } = notes();
  const failing = builds({ return_code: 2, stderr: full });
  const start = inTurn(new WorkerDouble(host, failing), new WorkerDouble(beta, failing));
  const run = { ...optionsFor([host, beta]), start, observer: combineObservers([observer]) };
  assert.deepEqual((await new Run(run).run()).remaining, []);
  assert.deepEqual(
    told.filter((text) => /lost|result/.test(text)),
    ["alpha: lost: its disk is full", "beta: result 0 0"],
  );
});

test("a build that succeeds on a full disk has succeeded; a worker that complains of one is lost, and not started again", async () => {
  const { told, observer } = notes();
  const good = new WorkerDouble(host, builds({ stderr: full }));
  const start = inTurn(good);
  await new Run({ ...optionsFor([host]), start, observer: combineObservers([observer]) }).run();
  assert.deepEqual(told.slice(-2), ["alpha: result 0 0", "alpha: complete 0"]);
  const complaining = new WorkerDouble(host);
  const ended = new Run({
    ...optionsFor([host]),
    start: inTurn(complaining),
    observer: combineObservers([observer]),
  }).run();
  (await complaining.listener).complaint("nice to meet you");
  (await complaining.listener).complaint("cp: write error: No space left on device");
  assert.deepEqual((await ended).remaining, [0]);
  assert.equal(told.at(-1), "alpha: lost: its disk is full");
});

test("an error in a source that speaks of full disks is an error", async () => {
  const quoted = 'x.c:3:1: error: unknown type\n  3 | text(ENOSPC, "No space left on device")\n    | ^~~~\n';
  const lines = [
    "No space left on device",
    "ar: x.o: No space left on device",
    "x.s: Fatal error: can't write 12 bytes to section .text of x.o: 'No space left on device'",
    "cp: error writing 'x': Disk quota exceeded.",
    "Error: ENOSPC: no space left on device, mkdir '/w/x'",
  ];
  assert.equal(isDiskFull(quoted), false);
  for (const line of lines) assert.ok(isDiskFull(`make: x\n${line}\nmake: *** [x] Error 1\n`), line);
});
