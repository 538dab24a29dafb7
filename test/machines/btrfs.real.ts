import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "../../os/run.ts";
import { silentLog } from "../../os/log.ts";
import { tryMachineLock } from "../../machines/locks.ts";
import { isRemoved } from "../../machines/names.ts";
import { openStorage } from "../../machines/open-storage.ts";
import { btrfsFileSystem } from "../fixtures/machines/btrfs.ts";
import { loopDevicesOf, mountsUnder } from "../runner/leaks.ts";
import { makeFarm } from "./farm.ts";
import { testStorage } from "./storage-behaviour.ts";

testStorage("btrfs", () => btrfsFileSystem());
testStorage("auto", () => btrfsFileSystem());

test("btrfs: revisions and their snapshots are subvolumes; a read-only one can be cloned and removed", async () => {
  await using system = await btrfsFileSystem();
  const storage = await openStorage(system.path, "btrfs", silentLog());
  const [machine, fixed, clone] = ["machine", "fixed", "clone"].map((name) => join(system.path, name));
  await storage.createSubvolume(machine!);
  await writeFile(join(machine!, "disk.img"), "x");
  await run(["btrfs", "subvolume", "snapshot", "-r", machine!, fixed!], { timeoutSeconds: 300 });
  await storage.overlay(fixed!, clone!);
  for (const path of [machine!, fixed!, clone!]) assert.equal((await stat(path)).ino, 256, path);
  await writeFile(join(clone!, "disk.img"), "writable");
  await storage.remove(fixed!);
  assert.deepEqual((await readdir(system.path)).sort(), ["clone", "machine"]);
});

test("btrfs: a received read-only subvolume can be removed", async () => {
  await using system = await btrfsFileSystem();
  const storage = await openStorage(system.path, "auto", silentLog());
  await storage.createSubvolume(join(system.path, "machine"));
  await mkdir(join(system.path, "received"));
  await run(
    ["btrfs", "subvolume", "snapshot", "-r", join(system.path, "machine"), join(system.path, "sent")],
    {
      timeoutSeconds: 300,
    },
  );
  const stream = join(system.path, "stream");
  await run(["btrfs", "send", "-q", "-f", stream, join(system.path, "sent")], { timeoutSeconds: 300 });
  await run(["btrfs", "receive", "-q", "-f", stream, join(system.path, "received")], { timeoutSeconds: 300 });
  await storage.remove(join(system.path, "received", "sent"));
  assert.deepEqual(await readdir(join(system.path, "received")), []);
});

test("btrfs: a farm bootstraps and enumerates, and what btrfs prints is logged as output only", async () => {
  await using system = await btrfsFileSystem();
  await using farm = await makeFarm({ parent: system.path });
  await farm.publish("one");
  await farm.publish("one");
  assert.equal(await farm.bootstrap(), "one");
  assert.equal(await farm.bootstrap(), undefined);
  await farm.enumerate((found, toolchainLock) => {
    const [machine] = found.machines;
    assert.ok(machine?.state === "locked");
    machine.lock.write(toolchainLock, 42);
    // /proc/locks has another device number than stat(2) here.
    const holder = tryMachineLock(toolchainLock, machine.paths);
    assert.deepEqual(holder, { pid: process.pid, priority: 42 });
  });
  assert.deepEqual(await farm.names("one"), ["one-1", "one-1.1", "one-1.2", "one-gcc", "one-gcc.lock"]);
  assert.equal((await stat(farm.paths("one").bootstrapped)).ino, 256);
  const printed = farm.records().filter((record) => "line" in record);
  assert.ok(printed.length > 0);
  for (const record of printed) assert.equal(record["level"], 20);
});

test("directory: a removal that is cut short leaves nothing under the name, and what is left is known as such", async () => {
  await using system = await btrfsFileSystem();
  const storage = await openStorage(system.path, "directory", silentLog());
  const machine = join(system.path, "m-gcc");
  await storage.createSubvolume(machine);
  for (const name of ["disk.img", "kernel", "manifest"]) await writeFile(join(machine, name), "x");
  await run(["chattr", "+i", join(machine, "kernel")], { timeoutSeconds: 300 });
  await assert.rejects(storage.remove(machine), /kernel': Operation not permitted/);
  const [left, ...others] = await readdir(system.path);
  assert.deepEqual(others, []);
  assert.ok(isRemoved(left!), left);
  await run(["chattr", "-i", join(system.path, left!, "kernel")], { timeoutSeconds: 300 });
  await storage.remove(join(system.path, left!));
  assert.deepEqual(await readdir(system.path), []);
});

test("the btrfs fixture leaves neither mount nor loop device, even if a test throws with files open", async () => {
  let path = "";
  const failing = async () => {
    await using system = await btrfsFileSystem();
    path = system.path;
    assert.equal(mountsUnder(path).length, 1);
    throw new Error("as a test does");
  };
  await assert.rejects(failing, /as a test does/);
  assert.ok(!existsSync(path));
  assert.ok(!readFileSync("/proc/self/mountinfo", "utf8").includes(path));
  assert.equal(loopDevicesOf(join(path, "..")).length, 0);
});
