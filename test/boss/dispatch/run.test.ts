/** A run whose workers are made up, on a clock that the test moves. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { Host } from "../../../boss/hosts/hosts.ts";
import { Matrix } from "../../../boss/matrix/matrix.ts";
import { combineObservers } from "../../../boss/dispatch/observers.ts";
import { Pool } from "../../../boss/dispatch/pool.ts";
import { Run, type RunOptions } from "../../../boss/dispatch/run.ts";
import { isDiskFull } from "../../../worker/disk-full.ts";
import type { HostConnection, WorkerListener } from "../../../boss/hosts/connection.ts";
import type { StartedWorker } from "../../../boss/hosts/start.ts";
import type { BuildResult, Command, Response } from "../../../worker/protocol.ts";

const host: Host = { name: "alpha", destination: "alpha", workDirectory: "~/w" };

const result: BuildResult = {
  ...{
    resp: "build_result",
    board: "t",
    commit_upto: 0,
    return_code: 2,
    stderr: "",
    stdout: "",
    load_avg: 0,
  },
};

function optionsFor(hosts: readonly Host[]): RunOptions {
  const matrix = new Matrix([{ name: "t", arch: "sandbox" }], [{ hash: "0".repeat(40), subject: "" }]);
  return {
    ...{ hosts, matrix, batch: false, buildTimeoutSeconds: 300, observer: combineObservers([]) },
    pool: new Pool(matrix.targets, [0]),
    start: () => Promise.reject(new Error("not expected")),
    signal: new AbortController().signal,
  };
}

test("a run without any host ends at once, and says what remains", async () => {
  for (const batch of [false, true]) {
    const outcome = await new Run({ ...optionsFor([]), batch }).run();
    assert.deepEqual([outcome.remaining, outcome.workers], [[0], 0]);
  }
});

test("a boss that was stopped for long does not blame the workers, but one that hangs is lost", async () => {
  mock.timers.enable({ apis: ["setInterval"] });
  try {
    let now = 0;
    const lost: string[] = [];
    const sent: Command["cmd"][] = [];
    let listener: WorkerListener | undefined;
    const closed = Promise.withResolvers<string>();
    const connection = {
      ...{ closed: closed.promise, lastComplaint: "", bytesSent: 0, bytesReceived: 0 },
      send: ({ cmd }: Command) => void sent.push(cmd),
      drop: () => Promise.resolve(closed.resolve("dropped")),
    } as unknown as HostConnection;
    const worker = { host, connection, threads: 0, capacity: 1, architectures: new Set<string>() };
    const listening = Promise.withResolvers<void>();
    const listen = (to: WorkerListener) => {
      listener = to;
      listening.resolve();
    };
    let starts = 0;
    const run = new Run({
      ...optionsFor([host]),
      now: () => now,
      start: (): Promise<StartedWorker> =>
        starts++ === 0 ? Promise.resolve({ ...worker, listen }) : Promise.reject(new Error("once is enough")),
      observer: combineObservers([{ lost: (_host, reason) => void lost.push(reason) }]),
    });
    const ended = run.run();
    await listening.promise;
    listener!.message({ resp: "build_prepare_done" });
    assert.deepEqual(
      sent,
      ["build_prepare", "build_board", "build_done"],
      "it is given work, though it claims no thread",
    );
    mock.timers.tick(250);
    now += 3_600_000;
    mock.timers.tick(250);
    assert.deepEqual(lost, []);
    for (let seconds = 0; seconds < 301; seconds++) {
      now += 1000;
      mock.timers.tick(250);
    }
    assert.deepEqual(lost, ["no sign of life for 300 s"]);
    await assert.rejects(ended, /once is enough/);
  } finally {
    mock.timers.reset();
  }
});

test("a build for which a disk was full is done elsewhere; that fills another one, too, has failed", async () => {
  const hosts = ["alpha", "beta"].map((name) => ({ ...host, name }));
  const lost: string[] = [];
  const stored: string[] = [];
  const start = (on: Host): Promise<StartedWorker> => {
    const closed = Promise.withResolvers<string>();
    let listener: WorkerListener | undefined;
    const answers: Partial<Record<Command["cmd"], Response>> = {
      build_prepare: { resp: "build_prepare_done" },
      build_board: { ...result, stderr: "ld: final link failed: No space left on device\n" },
      build_done: { resp: "build_done", exceptions: 0 },
    };
    const connection = {
      ...{ closed: closed.promise, lastComplaint: "", bytesSent: 0, bytesReceived: 0 },
      send: ({ cmd }: Command) => {
        const answer = answers[cmd];
        if (answer) setImmediate(() => listener!.message(answer));
        if (cmd === "quit") closed.resolve("quit");
      },
      drop: () => Promise.resolve(closed.resolve("dropped")),
    } as unknown as HostConnection;
    const listen = (to: WorkerListener) => void (listener = to);
    const worker = { host: on, connection, threads: 1, capacity: 1, architectures: new Set<string>() };
    return Promise.resolve({ ...worker, listen });
  };
  const observer = combineObservers([
    {
      lost: (on, reason, restarting) => void lost.push(`${on.name}: ${reason}${restarting ? ", again" : ""}`),
      result: (on) => void stored.push(on.name),
    },
  ]);
  const { remaining } = await new Run({ ...optionsFor(hosts), start, observer }).run();
  assert.deepEqual([lost, stored, remaining], [["alpha: its disk is full"], ["beta"], []]);
});

test("an error in a source that speaks of full disks is an error", async () => {
  const quoted = 'x.c:3:1: error: unknown type\n  3 | text(ENOSPC, "No space left on device")\n    | ^~~~\n';
  const full = [
    "No space left on device",
    "ar: x.o: No space left on device",
    "x.s: Fatal error: can't write 12 bytes to section .text of x.o: 'No space left on device'",
    "cp: error writing 'x': Disk quota exceeded.",
    "Error: ENOSPC: no space left on device, mkdir '/w/x'",
  ];
  assert.equal(isDiskFull(quoted), false);
  for (const line of full) assert.ok(isDiskFull(`make: x\n${line}\nmake: *** [x] Error 1\n`), line);
});
