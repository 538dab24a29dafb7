import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, realpath, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "../../os/run.ts";
import { findLeaks, listUnmarked, markVariable, removeLeaks, type Marks } from "./leaks.ts";

async function newMarks(): Promise<Marks> {
  const directory = await mkdtemp(join(await realpath(tmpdir()), "croft-test-leaks "));
  return { id: `planted-${process.pid}-${Math.random()}`, directory };
}

test("a run that left nothing has no leaks, and its directory goes", async () => {
  const marks = await newMarks();
  const before = await listUnmarked();
  assert.deepEqual(await findLeaks(marks, before), []);
  assert.deepEqual(await removeLeaks([], marks), []);
  await assert.rejects(writeFile(join(marks.directory, "gone"), ""), { code: "ENOENT" });
});

test("a process of the run is found and ended, another one is not", async () => {
  const marks = await newMarks();
  const start = (env: NodeJS.ProcessEnv) => spawn("sleep", ["60"], { env, stdio: "ignore" });
  const ours = start({ ...process.env, [markVariable]: marks.id });
  const other = start({ ...process.env, [markVariable]: `${marks.id}-other` });
  try {
    const ended = once(ours, "exit");
    const leaks = await findLeaks(marks, await listUnmarked(), { graceSeconds: 0.2 });
    assert.deepEqual(
      leaks.map(({ description }) => description),
      [`process ${ours.pid}: sleep 60`],
    );
    assert.deepEqual(await removeLeaks(leaks, marks), []);
    await ended;
    assert.equal(other.exitCode, null);
  } finally {
    ours.kill("SIGKILL");
    other.kill("SIGKILL");
  }
});

test("a process that ends within the grace is no leak", async () => {
  const marks = await newMarks();
  const child = spawn("sleep", ["0.3"], { env: { ...process.env, [markVariable]: marks.id } });
  assert.deepEqual(await findLeaks(marks, await listUnmarked()), []);
  assert.equal(child.pid !== undefined, true);
  await removeLeaks([], marks);
});

test("a file, a mount and its loop device are found and removed", async () => {
  const marks = await newMarks();
  const image = join(marks.directory, "image");
  const point = join(marks.directory, "mount point");
  await mkdir(point);
  await run(["truncate", "--size", "1M", image], { timeoutSeconds: 300 });
  await run(["mke2fs", "-q", image], { timeoutSeconds: 300 });
  await run(["mount", "-o", "loop", image, point], { timeoutSeconds: 300 });
  const leaks = await findLeaks(marks, await listUnmarked());
  const descriptions = leaks.map(({ description }) => description);
  assert.equal(descriptions[0], `mount ${point}`);
  assert.match(descriptions[1]!, /^loop device \/dev\/loop\d+ on .*image$/);
  assert.deepEqual(descriptions.slice(2).sort(), [`temporary file ${image}`, `temporary file ${point}`]);
  assert.deepEqual(await removeLeaks(leaks, marks), []);
  const after = await findLeaks(marks, await listUnmarked());
  assert.deepEqual(after, []);
});

test("what was there before a run is no leak of it", async () => {
  const marks = await newMarks();
  const name = `croft${process.pid % 100000}x`;
  await run(["ip", "tuntap", "add", "dev", name, "mode", "tap"], { timeoutSeconds: 300 });
  try {
    assert.deepEqual(await findLeaks(marks, await listUnmarked()), []);
    const [leak] = await findLeaks(marks, new Map());
    assert.equal(leak?.description, `network interface ${name}`);
    assert.deepEqual(await removeLeaks([leak!], marks), []);
    assert.equal((await listUnmarked()).has(`network interface ${name}`), false);
  } finally {
    await run(["ip", "link", "delete", name], { timeoutSeconds: 300, accept: [1] });
  }
});
