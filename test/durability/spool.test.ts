/** The spool's promises, after a power cut at whatever moment. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import type { Assignment } from "../../agent/task-state/assignment.ts";
import { Spool } from "../../agent/task-state/spool.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { forEachRemains, record } from "./recorder.ts";

const assignment: Assignment = { session: "s", uploadUrls: {}, task: ": 1\nname: t\n" };
const result = Buffer.from(": 1\nsession: s\n".padEnd(5000, "r"));

test("a task that was begun, and a result that was decided, are in the spool whole whenever the power is cut", async () => {
  await using directory = await temporaryDirectory("croft-test-spool-");
  const recording = await record(directory.path, async (tell) => {
    const spool = await Spool.open(join(directory.path, "spool", "gcc-1"));
    const entry = await spool.begin(assignment);
    tell("begun");
    await entry.setResult(result);
    tell("decided");
    await entry.setResult(Buffer.concat([result, result]));
    tell("changed");
  });
  const count = await forEachRemains(recording, async (path, told) => {
    const spool = await Spool.open(join(path, "spool", "gcc-1"));
    const [entry, ...others] = await spool.entries();
    assert.deepEqual(others, []);
    const found = await entry?.result();
    if (told.has("begun")) assert.deepEqual(entry?.assignment, assignment);
    if (told.has("decided")) assert.ok(found);
    if (told.has("changed")) assert.equal(found?.length, 10_000);
    if (found) assert.equal(String(found), String(result).repeat(found.length / 5000));
  });
  assert.ok(count > 20, `${count} states`);
});

test("a result that was accepted never comes back as a task without a result", async () => {
  await using directory = await temporaryDirectory("croft-test-spool-");
  const spool = await Spool.open(directory.path);
  const entry = await spool.begin(assignment);
  await entry.setResult(result);
  const recording = await record(directory.path, async () => entry.remove());
  await forEachRemains(recording, async (path) => {
    for (const left of await (await Spool.open(path)).entries())
      assert.equal(String(await left.result()), String(result));
  });
});

test("a result that is kept aside is in one of two places whole", async () => {
  await using directory = await temporaryDirectory("croft-test-spool-");
  const spool = await Spool.open(directory.path);
  const entry = await spool.begin(assignment);
  await entry.setResult(result);
  const recording = await record(directory.path, async (tell) => {
    await entry.reject("403\nno\n");
    tell("aside");
  });
  await forEachRemains(recording, async (path, told) => {
    const kept = await (await Spool.open(path)).entries();
    const aside = await readdir(join(path, "rejected")).catch(() => []);
    assert.equal(kept.length + aside.length, 1);
    if (told.has("aside")) assert.deepEqual(aside, [entry.name]);
    const at = join(path, ...(kept.length === 1 ? [] : ["rejected"]), entry.name);
    assert.equal(await readFile(join(at, "result.manifest"), "utf8"), String(result));
    if (told.has("aside")) assert.equal(await readFile(join(at, "answer"), "utf8"), "403\nno\n");
  });
});
