import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { mock, test } from "node:test";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { ProgramFailure, run } from "../../os/run.ts";

test("a program's output, status and lines are what it gave", async () => {
  const lines: string[] = [];
  const result = await run(["sh", "-c", "cat; echo b; echo c >&2; exit 3"], {
    timeoutSeconds: 10,
    input: "a\n",
    accept: [3],
    onLine: (line) => lines.push(line),
  });
  const stdoutBytes = Buffer.from("a\nb\n");
  assert.deepEqual(result, { status: 3, stdout: "a\nb\n", stdoutBytes, stderr: "c\n" });
  assert.deepEqual(lines.sort(), ["a", "b", "c"]);
});

test("a character that is cut by the end of a piece of output comes whole in its line", async () => {
  const lines: string[] = [];
  const input = `${"x\n".repeat(32_767)}xé\n`; // pipes are read in pieces of 65,536 bytes
  await run(["cat"], { timeoutSeconds: 60, input, onLine: (line) => lines.push(line) });
  assert.equal(lines.at(-1), "xé");
});

test("of a line without end its beginning is passed on", async () => {
  const lines: string[] = [];
  const command = "head -c 200000 /dev/zero | tr '\\0' x; echo; echo next";
  await run(["sh", "-c", command], { timeoutSeconds: 60, onLine: (line) => lines.push(line) });
  assert.deepEqual(lines, ["x".repeat(65_536), "next"]);
});

test("a failure carries argv, status and the end of the output", async () => {
  await assert.rejects(
    run(["sh", "-c", "echo why it failed >&2; exit 7"], { timeoutSeconds: 10 }),
    (error) => {
      assert.ok(error instanceof ProgramFailure);
      assert.equal(error.status, 7);
      assert.match(error.message, /^Cannot run 'sh -c .*': exit status 7:\n {2}why it failed$/);
      return true;
    },
  );
  await assert.rejects(run(["croft-no-such-program"], { timeoutSeconds: 10 }), /no such program/);
});

test("arguments are never seen by a shell", async () => {
  const { stdout } = await run(["printf", "%s", "$(id); `id` 'x' \"y\""], { timeoutSeconds: 10 });
  assert.equal(stdout, "$(id); `id` 'x' \"y\"");
});

/** True while the process runs; one that has ended but is not reaped yet does not. */
function runs(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

test("a timeout ends the whole process group, even one that ignores TERM", async () => {
  let grandchild = 0;
  const running = run(
    ["sh", "-c", "trap '' TERM; sh -c \"trap '' TERM; while :; do sleep 1; done\" & echo $!; wait"],
    {
      timeoutSeconds: 0.3,
      onLine: (line) => (grandchild = Number(line)),
    },
  );
  await assert.rejects(running, /no end after 0.3 s/);
  assert.ok(grandchild > 0);
  assert.equal(runs(grandchild), false);
});

/** A shell that starts something in a session of its own, which holds the output open, and prints its pid. */
const leavesHolder = (seconds: number, then: string) =>
  `setsid sh -c 'echo $$; exec sleep ${seconds}' & read -r none; ${then}`;

async function withHolder(
  then: string,
  use: (running: ReturnType<typeof run>) => Promise<void>,
  timeoutSeconds = 60,
) {
  let holder = 0;
  const began = performance.now();
  const running = run(["sh", "-c", leavesHolder(300, then)], {
    timeoutSeconds,
    input: "go\n",
    onLine: (line) => (holder = Number(line) || holder),
  });
  try {
    await use(running);
    assert.ok(holder > 0);
    assert.ok(runs(holder), "it was left alone");
    assert.ok(performance.now() - began < 200_000, "it was not waited for");
  } finally {
    if (holder > 0) process.kill(holder, "SIGKILL");
  }
}

test("who holds the output of a program that has ended is not waited for, and all that it printed is there", async () => {
  await withHolder("sleep 0.5; printf last", async (running) => {
    const { status, stdout } = await running;
    assert.equal(status, 0);
    assert.match(stdout, /^\d+\nlast$/);
  });
});

test("after a timeout, too, nobody is waited for who holds the output", async () => {
  await withHolder("exec sleep 300", (running) => assert.rejects(running, /no end after 1 s/), 1);
});

test("what goes on printing after the end of a program is read until the timeout", async () => {
  let holder = 0;
  const command = "setsid sh -c 'echo $$; while :; do sleep 0.2; echo more; done' & sleep 0.5";
  const running = run(["sh", "-c", command], {
    timeoutSeconds: 4,
    onLine: (line) => (holder = Number(line) || holder),
  });
  try {
    const { status, stdout } = await running;
    assert.equal(status, 0, "the program itself has ended in time");
    assert.ok(stdout.split("more").length > 3, stdout);
  } finally {
    if (holder > 0) process.kill(holder, "SIGKILL");
  }
});

test("output that is read late, as this process was busy, is complete", async () => {
  const running = run(["sh", "-c", "echo first; head -c 60000 /dev/zero | tr '\\0' x; echo last"], {
    timeoutSeconds: 60,
    onLine: (line) => {
      if (line === "first") busyUntil(performance.now() + 4500);
    },
  });
  const { stdout } = await running;
  assert.equal(stdout.length, "first\n".length + 60_000 + "last\n".length);
});

function busyUntil(time: number): void {
  while (performance.now() < time);
}

test("no group is signalled any more once its program has ended", async () => {
  const signalled = mock.method(process, "kill");
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const running = run(["sh", "-c", "echo started; exec sleep 60"], {
      timeoutSeconds: 1,
      onLine: () => mock.timers.tick(1000),
    });
    await assert.rejects(running, /no end after 1 s/);
    const before = signalled.mock.callCount();
    mock.timers.tick(60_000);
    assert.equal(signalled.mock.callCount(), before);
  } finally {
    mock.timers.reset();
    signalled.mock.restore();
  }
});

test("the end of an output begins with a whole character", async () => {
  const { stdout, stdoutBytes } = await run(
    ["sh", "-c", "i=0; while [ $i -lt 50 ]; do printf '€€'; i=$((i+1)); done"],
    {
      timeoutSeconds: 60,
      keepBytes: 100,
    },
  );
  assert.equal(stdout, "€".repeat(33));
  assert.equal(stdoutBytes.length, 100);
});

test("a program that cannot be started for its arguments, or for want of descriptors, is a failure", async () => {
  const long = "x".repeat(140_000);
  await assert.rejects(run(["true", long], { timeoutSeconds: 60 }), ProgramFailure);
  const script = `
    import { openSync } from "node:fs";
    import { run } from ${JSON.stringify(join(import.meta.dirname, "../../os/run.ts"))};
    try { for (;;) openSync("/dev/null"); } catch {}
    await run(["true"], { timeoutSeconds: 60 }).catch((error) => console.log(error.name, error.message));`;
  const limited = `ulimit -n 60; exec "$0" --input-type=module -e "$1"`;
  const { stdout } = await run(["sh", "-c", limited, process.execPath, script], { timeoutSeconds: 300 });
  assert.match(stdout, /^ProgramFailure Cannot run 'true': spawn true EMFILE/);
});

test("an abort ends the program", async () => {
  const abort = new AbortController();
  const running = run(["sh", "-c", "echo started; sleep 60"], {
    timeoutSeconds: 60,
    signal: abort.signal,
    onLine: () => abort.abort(),
  });
  await assert.rejects(running, /interrupted/);
});

test("only the end of a long output is kept", async () => {
  const { stdout } = await run(
    ["sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"],
    { timeoutSeconds: 30, keepBytes: 1000 },
  );
  assert.equal(stdout.length, 1000);
  assert.ok(stdout.endsWith("line 19999\n"));
});

test("who reads an output himself gets all of it, however slowly, and may stop a program that has no end", async () => {
  let bytes = 0;
  const slowly = async (stdout: AsyncIterable<Buffer>) => {
    for await (const chunk of stdout) {
      if (bytes === 0) await delay(2500); // longer than somebody else's silence is listened to
      bytes += chunk.length;
    }
  };
  const limit = { timeoutSeconds: 600 };
  const result = await run(["head", "-c", "100000", "/dev/zero"], { ...limit, output: slowly });
  assert.deepEqual([bytes, result.stdout], [100_000, ""]);
  const enough = (stdout: Readable) => {
    stdout.destroy();
    return Promise.reject(new RangeError("enough"));
  };
  await assert.rejects(run(["cat", "/dev/zero"], { ...limit, output: enough }), /enough/);
});
