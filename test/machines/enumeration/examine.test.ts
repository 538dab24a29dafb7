/** A look at one machine: what happens to it meanwhile, and whose fault that is. */
import assert from "node:assert/strict";
import { mkdirSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { MachineExamination } from "../../../machines/enumeration/examine.ts";
import { currentRevision, manifestPath, type MachinePaths } from "../../../machines/layout.ts";
import { MachineLock, tryMachineLock } from "../../../machines/locks.ts";
import type { Storage } from "../../../machines/storage.ts";
import { takeToolchainLock, type ToolchainLock } from "../../../machines/toolchain-lock.ts";
import { makeFarm, type Farm } from "../farm.ts";

/** A look at machine `a` itself, with some of its paths changed. */
function examination(
  farm: Farm,
  lock: ToolchainLock,
  changes: Partial<MachinePaths> = {},
  storage = farm.storage,
) {
  return new MachineExamination(farm.context({ storage }), lock, { ...farm.paths("a"), ...changes });
}

test("a machine whose directory goes just before it is locked is left out without a word", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  using toolchainLock = await takeToolchainLock("", farm.log);
  writeFileSync(farm.toolchainLock, "");
  for (const directory of [join(farm.directory, "gone"), farm.toolchainLock]) {
    const bootstrapped = join(directory, "a-gcc");
    const found = await examination(farm, toolchainLock, { bootstrapped }).run({ mayBootstrap: true });
    assert.deepEqual(found, []);
  }
  assert.deepEqual(farm.records("error"), []);
  mkdirSync(farm.paths("a").lock);
  const found = await examination(farm, toolchainLock).run({ mayBootstrap: true });
  assert.deepEqual(found, []);
  assert.match(String(farm.records("error")[0]!["msg"]), /^machine is left out: Cannot /);
});

test("a bug is thrown, and no reason to leave a machine out", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  const released = await takeToolchainLock("", farm.log);
  released[Symbol.dispose]();
  await assert.rejects(examination(farm, released).run({ mayBootstrap: true }), /not held any more/);
  const bug = new TypeError("x is not a function");
  const isBug = (error: unknown) => error === bug;
  const { storage } = farm;
  const broken: Storage = {
    ...{ kind: storage.kind, clone: () => Promise.reject(bug), remove: () => Promise.reject(bug) },
    createSubvolume: (path) => storage.createSubvolume(path),
    overlay: (from, to, signal) => storage.overlay(from, to, signal),
  };
  using toolchainLock = await takeToolchainLock("", farm.log);
  await assert.rejects(examination(farm, toolchainLock, {}, broken).run({ mayBootstrap: true }), isBug);
  await farm.bootstrapAll();
  unlinkSync(farm.paths("a").current);
  await assert.rejects(examination(farm, toolchainLock, {}, broken).run({ mayBootstrap: true }), isBug);
  assert.deepEqual(farm.records("error"), []);
});

test("a machine that has become free is ready if it is what it was, and stays locked for whoever asked", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  using toolchainLock = await takeToolchainLock("", farm.log);
  const tried = tryMachineLock(toolchainLock, farm.paths("a"));
  assert.ok(tried instanceof MachineLock);
  using lock = tried;
  const recheck = () => examination(farm, toolchainLock).recheck(lock);
  const ready = await recheck();
  assert.deepEqual([ready?.state, ready?.lock, ready?.manifest.machine.id], ["locked", lock, "a-1.1"]);
  await farm.publish("a");
  assert.equal(await recheck(), undefined, "it would have to be bootstrapped first");
  unlinkSync(manifestPath(currentRevision(farm.paths("a"))!));
  assert.equal(await recheck(), undefined, "its revision goes");
  unlinkSync(farm.paths("a").current);
  assert.equal(await recheck(), undefined, "it has no revision");
  assert.ok(!(tryMachineLock(toolchainLock, farm.paths("a")) instanceof MachineLock));
  assert.deepEqual(farm.records("error"), []);
});
