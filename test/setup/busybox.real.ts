import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { run } from "../../os/run.ts";
import { fetchStaticBusybox, staticBusybox } from "./busybox.js";

test("a static busybox is fetched without being installed, and runs alone in a root file system", async () => {
  await using clone = await temporaryDirectory("croft-test-busybox-");
  await fetchStaticBusybox(clone.path, join(clone.path, "log"));
  const cache = join(clone.path, ".cache", "busybox");
  assert.equal(staticBusybox(clone.path, "/nonexistent"), join(cache, "busybox"));
  assert.deepEqual(await readdir(cache), ["busybox"]);
  const argv = ["unshare", "--root", cache, "/busybox", "echo", "hello"];
  assert.equal((await run(argv, { timeoutSeconds: 300 })).stdout, "hello\n");
});
