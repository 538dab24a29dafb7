/** What becomes of a result as a machine has left it: read, found broken, or a fault of the farm. */
import assert from "node:assert/strict";
import fs, { mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { compressFrame } from "lz4-napi";
import { isFarmFault } from "../../../agent/results/farm-fault.ts";
import { agentResult, readResult, withOperation } from "../../../agent/results/result.ts";
import type { Result } from "../../../manifests/result.ts";
import { parseTask } from "../../../manifests/task.ts";
import { Failure } from "../../../os/failure.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { resultText, task as taskText } from "../running-agent.ts";

/** An upload directory with files. */
async function uploaded(files: Record<string, string | Buffer>) {
  const directory = await temporaryDirectory("croft-test-result-");
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory.path, name), content);
  return directory;
}

/** Reads what was uploaded: the status, or why it is broken. */
async function read(
  files: Record<string, string | Buffer>,
  uploadMaxBytes = 1_000_000,
): Promise<string | undefined> {
  await using directory = await uploaded(files);
  const found = await readResult(directory.path, uploadMaxBytes);
  if (found === undefined) return undefined;
  if ("result" in found) return found.result.status;
  assert.ok(found.file.startsWith(`${directory.path}/result.manifest`), found.file);
  return found.broken.replace(directory.path, "");
}

test("a result is read as it is or compressed; that which is compressed counts if there are both", async () => {
  const compressed = await compressFrame(Buffer.from(resultText("warning")));
  assert.equal(await read({}), undefined);
  assert.equal(await read({ "result.manifest": resultText() }), "success");
  assert.equal(await read({ "result.manifest.lz4": compressed }), "warning");
  assert.equal(await read({ "result.manifest.lz4": compressed, "result.manifest": resultText() }), "warning");
  await using directory = await uploaded({ "result.manifest": resultText() });
  mkdirSync(join(directory.path, "result.manifest.lz4"));
  const found = await readResult(directory.path, 1_000_000);
  assert.ok(found && "result" in found, "a directory is no result");
});

test("a result that cannot be read is broken, with the reason", async () => {
  assert.match((await read({ "result.manifest": "nonsense\n" }))!, /^result\.manifest:1:9: /);
  assert.match((await read({ "result.manifest.lz4": resultText() }))!, /^Cannot decompress the LZ4 frame: /);
});

test("a result that a controller would not keep is broken, too, with room for what the agent adds", async () => {
  const operations = (count: number) =>
    Array.from({ length: count }, (_, at) => `op${at}-status: success\nop${at}-log: x\n`).join("");
  const text = (version: string, count: number) =>
    `: 1\nname: hello\nversion: ${version}\nstatus: success\n${operations(count)}`;
  assert.equal(await read({ "result.manifest": text("1".repeat(500), 96) }), "success");
  assert.match((await read({ "result.manifest": text("1", 97) }))!, /: there are more than 96 operations$/);
  const long = text("1".repeat(501), 1);
  assert.match((await read({ "result.manifest": long }))!, /: the value of 'version' is longer than 500/);
});

test("a result may be four times what may be uploaded, compressed or not, and 96 MiB at most", async () => {
  const text = Buffer.from(`${resultText()}test-status: success\ntest-log: ${"x".repeat(400)}\n`);
  const compressed = await compressFrame(text);
  const quarter = Math.ceil(text.length / 4);
  assert.equal(await read({ "result.manifest": text }, text.length / 4), "success", "to the byte");
  assert.equal(await read({ "result.manifest.lz4": compressed }, quarter), "success");
  const tooLarge = /^Cannot read 'result\.manifest': it has more than \d+ bytes$/;
  assert.match((await read({ "result.manifest": text }, quarter - 1))!, tooLarge);
  assert.match((await read({ "result.manifest.lz4": compressed }, quarter - 1))!, /bytes allowed$/);
  await using directory = await uploaded({ "result.manifest": "" });
  truncateSync(join(directory.path, "result.manifest"), 96 * 1024 * 1024 + 1);
  const found = await readResult(directory.path, 1024 ** 4);
  assert.ok(found && "broken" in found);
  assert.equal(found.broken, "Cannot read 'result.manifest': it has more than 100663296 bytes");
});

test("a result may have as many lines as it likes, but not more values than fit in memory", async () => {
  const lines = `test-status: success\ntest-log:\\\n${"x\n".repeat(100_010)}\\\n`;
  assert.equal(await read({ "result.manifest": resultText() + lines }), "success");
  const values = `: 1\n${"test-status: success\n".repeat(100_001)}`;
  assert.equal(
    await read({ "result.manifest": values }),
    "Cannot read the result: it has more than 100000 values",
  );
});

const farmFaults = ["ENOSPC", "EDQUOT", "EIO", "EROFS", "EACCES", "EPERM", "EMFILE", "ENFILE", "ENOMEM"];
const error = (code: string) => Object.assign(new Error(`${code}!`), { code, syscall: "read" });

test("a full or broken disk, missing rights and resources are faults of the farm; what a machine left is not", () => {
  for (const code of farmFaults) {
    assert.ok(isFarmFault(error(code)), code);
    assert.ok(isFarmFault(new Failure("read", "it failed", { cause: error(code) })), code);
  }
  for (const other of [
    error("ENOENT"),
    error("EISDIR"),
    new Error("EIO"),
    new Failure("read", "EIO"),
    "EIO",
    undefined,
  ])
    assert.ok(!isFarmFault(other), String(other));
});

/** Reads a result whose file cannot be read because of an error. */
async function readFailing(t: TestContext, reason: Error) {
  await using directory = await uploaded({ "result.manifest": resultText() });
  t.mock.method(fs.promises, "readFile", () => Promise.reject(reason));
  syncBuiltinESMExports();
  try {
    return await readResult(directory.path, 1_000_000);
  } finally {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  }
}

test("a result that the farm cannot read is not the machine's fault", async (t) => {
  await assert.rejects(readFailing(t, error("EIO")), /^Failure: Cannot read '.*\/result\.manifest': /);
  const found = await readFailing(t, new Error("it is odd"));
  assert.ok(found && "broken" in found);
  assert.equal(found.broken, "Cannot read 'result.manifest': it is odd");
});

const task = parseTask(Buffer.from(`: 1\n${taskText}`));

test("the agent's own result has the reason as a log, with what a manifest cannot hold replaced", () => {
  const result = agentResult(task, "abort", "agent", "it \x1b[1mdied");
  const operations = [{ name: "agent", status: "abort", log: "it ?[1mdied\n" }];
  assert.deepEqual(result, { name: "hello", version: "1.0", status: "abort", operations });
});

test("an operation is added to a result, or to the one of its name; the worst status is the result's", () => {
  const update = { name: "update", status: "success", log: "fine\n" } as const;
  const upload = { name: "upload", status: "warning", log: "slow\n" } as const;
  const result: Result = { name: "hello", version: "1.0", status: "warning", operations: [upload, update] };
  const added = withOperation(result, "agent", "abort", "no room\n");
  assert.equal(added.status, "abort");
  assert.deepEqual(added.operations, [upload, update, { name: "agent", status: "abort", log: "no room\n" }]);
  const joined = withOperation(result, "upload", "success", "again");
  assert.equal(joined.status, "warning");
  assert.deepEqual(joined.operations, [update, { ...upload, log: "slow\nagain\n" }]);
  const unended = { ...result, operations: [{ ...upload, log: "slow" }] };
  assert.equal(withOperation(unended, "upload", "success", "again").operations[0]!.log, "slow\nagain\n");
});
