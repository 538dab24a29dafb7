/** What a machine has uploaded, as the agent takes it: its result, its artifacts, and whose fault it is if that fails. */
import assert from "node:assert/strict";
import fs, { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { create } from "tar";
import { takeUploads } from "../../../agent/results/uploads.ts";
import { Spool } from "../../../agent/task-state/spool.ts";
import { parseTask } from "../../../manifests/task.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { silentLog } from "../../../os/log.ts";
import { resultText, task as taskText } from "../running-agent.ts";

const task = parseTask(Buffer.from(`: 1\n${taskText}`));

/** A machine that has uploaded a result, and artifacts if it is told to. */
async function uploaded(
  result: string | undefined,
  artifacts: "good" | "broken" | "none" = "none",
  uploadForm: "files" | "archives" = "files",
) {
  const stack = new AsyncDisposableStack();
  const { path } = stack.use(await temporaryDirectory("croft-test-uploads-"));
  const put = join(path, "put");
  mkdirSync(join(path, "upload", "artifact"), { recursive: true });
  mkdirSync(put);
  writeFileSync(join(path, "upload", "artifact", "a.tar"), "AAA");
  if (result !== undefined) writeFileSync(join(put, "result.manifest"), result);
  const file = join(put, "upload.tar");
  if (artifacts === "good") await create({ cwd: path, file, portable: true }, ["upload"]);
  if (artifacts === "broken") writeFileSync(file, "no archive");
  const spool = await Spool.open(join(path, "spool"));
  const entry = await spool.begin({ session: "s", uploadUrls: {}, task: "", uploadForm });
  const context = { directories: { put }, settings: { uploadMaxBytes: 1_000_000 } };
  return Object.assign(stack, { put, entry, take: () => takeUploads(context, entry, task, silentLog()) });
}

test("a machine that has left no result has left nothing", async () => {
  await using on = await uploaded(undefined, "good");
  assert.equal(await on.take(), undefined);
});

test("result and artifacts are taken; there need not be artifacts", async () => {
  await using on = await uploaded(resultText(), "good");
  const taken = await on.take();
  assert.deepEqual([taken?.result.status, Object.keys(taken!)], ["success", ["result"]]);
  assert.equal(readFileSync(join(on.entry.uploads, "artifact", "a.tar"), "utf8"), "AAA");
  await using without = await uploaded(resultText());
  const none = await without.take();
  assert.deepEqual([none?.result.status, Object.keys(none!)], ["success", ["result"]]);
});

test("what a build has left that failed goes to a controller of ours alone", async () => {
  for (const form of ["files", "archives"] as const) {
    await using on = await uploaded(resultText("error"), "good", form);
    const taken = await on.take();
    assert.deepEqual([taken?.result.status, Object.keys(taken!)], ["error", ["result"]]);
    assert.equal(existsSync(join(on.entry.uploads, "artifact", "a.tar")), form === "files");
  }
});

test("a machine cannot say that its host is at fault, nor that it was interrupted", async () => {
  const told = `: 1
name: hello
version: 1.0
status: interrupt
agent-status: abort
agent-log: no room
guest-agent-status: interrupt
guest-agent-log: a
machine-status: error
machine-log: b
test-status: warning
test-log: c
`;
  await using on = await uploaded(told);
  const { result } = (await on.take())!;
  assert.equal(result.status, "abort");
  assert.deepEqual(
    result.operations.map(({ name, status, log }) => [name, status, log.trim()]),
    [
      ["guest-guest-agent", "abort", "no room"],
      ["guest-agent", "abort", "a"],
      ["guest-machine", "error", "b"],
      ["test", "warning", "c"],
    ],
  );
});

test("a worker that failed too early to tell its package gets that of the task", async () => {
  await using on = await uploaded(resultText("abort", "unknown").replace("version: 1.0", "version: 0"));
  const { name, version, status } = (await on.take())!.result;
  assert.deepEqual([name, version, status], ["hello", "1.0", "abort"]);
});

test("a result that cannot be read is abnormal, and kept for the operator with the reason", async () => {
  await using on = await uploaded("nonsense\n", "good");
  const { result, broken } = (await on.take())!;
  assert.deepEqual(
    [result.name, result.status, result.operations[0]!.name],
    ["hello", "abnormal", "machine"],
  );
  assert.match(broken!.reason, /^result\.manifest:1:9: /);
  assert.equal(result.operations[0]!.log, `${broken!.reason}\n`);
  assert.deepEqual(broken!.files, [join(on.put, "result.manifest")]);
});

test("artifacts that are not acceptable make the result abnormal, and tell why", async () => {
  await using on = await uploaded(resultText(), "broken");
  const { result, broken, fault } = (await on.take())!;
  assert.deepEqual([result.status, result.operations.at(-1)!.name, fault], ["abnormal", "upload", undefined]);
  assert.match(broken!.reason, /^Cannot extract 'upload\.tar': /);
  assert.equal(result.operations.at(-1)!.log, `${broken!.reason}\n`);
  assert.deepEqual(broken!.files, []);
});

test("artifacts that do not fit on the disk are no fault of the machine: the result stays as it is", async (t) => {
  await using on = await uploaded(resultText(), "good");
  const full = Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
  t.mock.method(fs.promises, "rename", () => Promise.reject(full));
  syncBuiltinESMExports();
  try {
    const { result, broken, fault } = (await on.take())!;
    assert.deepEqual([result.status, broken], ["success", undefined]);
    assert.match(fault!.message, /^Cannot extract 'upload\.tar': .*no space left/i);
  } finally {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  }
});

test("an entry of the archive that is gone is not taken for a machine without artifacts", async (t) => {
  await using on = await uploaded(resultText(), "good");
  const gone = Object.assign(new Error("gone"), { code: "ENOENT", path: "/elsewhere" });
  t.mock.method(fs.promises, "rename", () => Promise.reject(gone));
  syncBuiltinESMExports();
  try {
    assert.equal((await on.take())!.result.status, "abnormal");
  } finally {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  }
});
