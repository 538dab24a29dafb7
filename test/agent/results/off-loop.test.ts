/** A large or hostile result is read beside everything else that the agent does, within bounds. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { test } from "node:test";
import { compressFrame } from "lz4-napi";
import { isFarmFault } from "../../../agent/results/farm-fault.ts";
import { readOffLoop } from "../../../agent/results/off-loop.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { resultText } from "../running-agent.ts";

const MiB = 1024 * 1024;
const maxBytes = 96 * MiB;

/** Reads a file of this content; tells how long that took, and how long the event loop was held at most, in milliseconds. */
async function read(
  content: string | Buffer,
  name = "result.manifest",
  limits = { seconds: 600, heapMiB: 288 },
) {
  await using directory = await temporaryDirectory("croft-test-off-loop-");
  const file = join(directory.path, name);
  writeFileSync(file, content);
  using delay = Object.assign(monitorEventLoopDelay({ resolution: 1 }), {
    [Symbol.dispose]: () => delay.disable(),
  });
  delay.enable();
  const began = performance.now();
  const reading = await readOffLoop({ file, maxBytes }, limits);
  return { reading, took: performance.now() - began, held: delay.max / 1e6 };
}

const hostile = `${resultText()}test-status: success\ntest-log:\\\n${"\n".repeat(16 * MiB)}x\n\\\n`;

test("the event loop goes on while a result is read that takes long", async () => {
  const { reading, took, held } = await read(hostile);
  assert.ok("result" in reading, JSON.stringify(reading).slice(0, 200));
  assert.equal(reading.result.operations.at(-1)!.log.length, 16 * MiB + 1);
  assert.ok(held < took / 5, `held for ${held} ms of ${took} ms`);
});

test("what decompresses to much is read beside the event loop, too, however small it is", async () => {
  const compressed = await compressFrame(Buffer.from(hostile));
  assert.ok(compressed.length < MiB);
  const { reading, took, held } = await read(compressed, "result.manifest.lz4");
  assert.ok("result" in reading);
  assert.ok(held < took / 5, `held for ${held} ms of ${took} ms`);
});

test("a result that takes too long to read is broken, and so is one that takes too much memory", async () => {
  const late = await read(hostile, "result.manifest", { seconds: 0.05, heapMiB: 288 });
  assert.deepEqual(late.reading, { broken: "Cannot read 'result.manifest': it takes more than 0.05 s" });
  const values = Array.from({ length: 90_000 }, (_, number) => `another-name-${number}: a\n`).join("");
  const large = await read(resultText() + values, "result.manifest", { seconds: 600, heapMiB: 8 });
  assert.deepEqual(large.reading, {
    broken: "Cannot read 'result.manifest': it takes more than 8 MiB of memory",
  });
});

test("a small result needs no thread, and so no time for one", async () => {
  const nothing = { seconds: 0, heapMiB: 288 };
  const text = Buffer.from(resultText().padEnd(MiB - 1, "\n"));
  for (const [name, content] of [
    ["result.manifest", text],
    ["result.manifest.lz4", await compressFrame(text)],
  ] as const) {
    const { reading } = await read(content, name, nothing);
    assert.ok("result" in reading, JSON.stringify(reading));
  }
  assert.ok("broken" in (await read(`${text.toString()}\n\n`, "result.manifest", nothing)).reading);
});

test("what a thread finds broken has the reason, and a farm without threads is no machine's fault", async () => {
  const { reading } = await read(`nonsense\n${"\n".repeat(MiB)}`);
  assert.deepEqual(reading, {
    broken: "result.manifest:1:9: ':' expected after name",
  });
  assert.ok(isFarmFault(Object.assign(new Error("no thread"), { code: "ERR_WORKER_INIT_FAILED" })));
});
