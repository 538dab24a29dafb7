/** Other users of the host see nothing of what a controller keeps, whatever the umask. */
import assert from "node:assert/strict";
import { chmod, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "../../os/run.ts";
import { makeFarm, requestTask, post, sendLog, sendResult, submit } from "./farm.ts";

test("data of a controller is its user's alone with umask 0, and what was open is closed at start", async () => {
  await using farm = await makeFarm("", { freshDatabase: true });
  const data = join(farm.directory, "data");
  const former = process.umask(0);
  const first = await farm.start().finally(() => process.umask(former));
  await submit(first.url);
  const task = await requestTask(first.url);
  await sendLog(task, 0, "log");
  const bad = Buffer.from(`: 1\nsession: ${task.session}\n: 1\nbad`);
  assert.equal((await post(task.resultUrl!, bad, "text/manifest")).status, 400);
  await sendResult(task, "success", [["update", "success", "log"]]);
  assert.deepEqual(await openPaths(data), []);
  for (const part of ["database", "blobs", "logs", "rejected"])
    assert.ok((await readdir(join(data, part))).length > 0, part);
  await first.end("SIGKILL");
  await chmod(data, 0o755);
  await run(["chmod", "-R", "a+rwX", join(data, "database")], { timeoutSeconds: 60 });
  const second = await farm.start();
  assert.match(second.log(), /the data directory was open to other users; it is closed now/);
  assert.deepEqual(await openPaths(data), []);
});

/** What others may read, change or enter. */
async function openPaths(directory: string): Promise<string[]> {
  const names = await readdir(directory, { recursive: true });
  const open: string[] = [];
  for (const path of [directory, ...names.map((name) => join(directory, name))])
    if (((await stat(path)).mode & 0o077) !== 0) open.push(path);
  return open;
}
