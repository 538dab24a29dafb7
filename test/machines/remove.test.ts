import assert from "node:assert/strict";
import fs, { existsSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { removeMachine } from "../../machines/remove.ts";
import { tryLockFile } from "../../os/files/flock.ts";
import { makeFarm } from "./farm.ts";

test("a machine that an agent of an unknown toolchain locks just before it loses its name is not removed", async (t) => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  const paths = farm.paths("a");
  const before = await farm.names("a");
  const rename = fs.promises.rename.bind(fs.promises);
  using locks = new DisposableStack();
  t.mock.method(fs.promises, "rename", async (from: string, to: string) => {
    const lock = from === paths.directory && tryLockFile(join(paths.directory, "a-clang.lock"));
    if (lock) locks.use(lock);
    await rename(from, to);
  });
  syncBuiltinESMExports();
  try {
    await assert.rejects(removeMachine(farm.storage, paths), /holds the lock 'a-clang\.lock'/);
  } finally {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  }
  assert.deepEqual(await farm.names("a"), [...before, "a-clang.lock"].sort());
  locks.dispose();
  await removeMachine(farm.storage, paths);
  assert.ok(!existsSync(paths.directory));
});
