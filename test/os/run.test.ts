import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
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
