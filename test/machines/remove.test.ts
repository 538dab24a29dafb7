import assert from "node:assert/strict";
import fs, { existsSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { finishRemovals, removeMachine } from "../../machines/remove.ts";
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

test("a machine in which something is mounted stays as it is, and the reason is told", async (t) => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  const paths = farm.paths("a");
  const before = await farm.names("a");
  let code = "EBUSY";
  t.mock.method(fs.promises, "rename", () => Promise.reject(Object.assign(new Error(`${code}!`), { code })));
  syncBuiltinESMExports();
  try {
    const mounted = `Cannot remove machine 'a': something is mounted at '${paths.directory}'`;
    await assert.rejects(removeMachine(farm.storage, paths), { message: mounted });
    code = "EROFS";
    await assert.rejects(removeMachine(farm.storage, paths), {
      message: "Cannot remove machine 'a': read-only file system",
    });
  } finally {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  }
  assert.deepEqual(await farm.names("a"), before);
  using free = tryLockFile(paths.lock);
  assert.ok(free, "its lock is free");
});

test("removals of a machine that were cut short are finished and counted, and no others", async () => {
  await using farm = await makeFarm();
  const volume = join(farm.directory, "v");
  for (const name of [".a.abcdef.removed", ".a.ABC123.removed"])
    await mkdir(join(volume, name, "a-1.1"), { recursive: true });
  for (const name of [".a.b.abcdef.removed", ".a.removed", "a"]) await mkdir(join(volume, name));
  assert.equal(await finishRemovals(farm.storage, volume, "a"), 2);
  assert.deepEqual((await readdir(volume)).sort(), [".a.b.abcdef.removed", ".a.removed", "a"]);
  assert.equal(await finishRemovals(farm.storage, volume, "a"), 0);
  assert.equal(await finishRemovals(farm.storage, join(volume, "none"), "a"), 0);
});

test("a machine is removed where no name can be changed for lack of room, and is none from the first step on", async (t) => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  const paths = farm.paths("a");
  const removed: string[] = [];
  t.mock.method(fs.promises, "rename", (from: string) => {
    removed.push(`${from === paths.directory ? "machine" : "part"}: ${existsSync(paths.current)}`);
    return Promise.reject(Object.assign(new Error("full"), { code: "ENOSPC" }));
  });
  syncBuiltinESMExports();
  try {
    await removeMachine(farm.storage, paths);
  } finally {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  }
  assert.ok(!existsSync(paths.directory));
  assert.deepEqual([...new Set(removed)], ["machine: true", "part: false", "machine: false"]);
});
