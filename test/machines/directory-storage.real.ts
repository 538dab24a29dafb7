import assert from "node:assert/strict";
import { readFile, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Failure } from "../../os/failure.ts";
import { silentLog } from "../../os/log.ts";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { openStorage } from "../../machines/open-storage.ts";
import { testStorage } from "./storage-behaviour.ts";

testStorage("directory", () => temporaryDirectory("croft-test-storage-"));

async function machineWith(path: string, disks: readonly string[]) {
  const storage = await openStorage(path, "directory", silentLog());
  const machine = join(path, "machine");
  await storage.createSubvolume(machine);
  for (const disk of disks) {
    const format = disk.endsWith(".qcow2") ? "qcow2" : "raw";
    await run(["qemu-img", "create", "-q", "-f", format, join(machine, disk), "64M"], {
      timeoutSeconds: 300,
    });
  }
  await writeFile(join(machine, "kernel"), "kernel");
  await writeFile(join(machine, "manifest"), "manifest");
  return { storage, machine, task: join(path, "task") };
}

test("a task's disks are overlays: they keep their order and size, and the machine's stay untouched", async () => {
  await using place = await temporaryDirectory("croft-test-storage-");
  const { storage, machine, task } = await machineWith(place.path, ["disk.img", "disk2.qcow2", "disk10.img"]);
  const before = await readFile(join(machine, "disk.img"));
  await storage.overlay(machine, task);
  assert.deepEqual((await readdir(task)).sort(), [
    "disk.qcow2",
    "disk10.qcow2",
    "disk2.qcow2",
    "kernel",
    "manifest",
  ]);
  const disk = join(task, "disk.qcow2");
  await run(["qemu-io", "-f", "qcow2", "-c", "write -P 1 0 1M", disk], { timeoutSeconds: 300 });
  const { stdout } = await run(["qemu-img", "info", "--output=json", disk], { timeoutSeconds: 300 });
  const info = JSON.parse(stdout) as Record<string, unknown>;
  assert.equal(info["virtual-size"], 64 * 1024 * 1024);
  assert.equal(info["backing-filename"], join(machine, "disk.img"));
  assert.equal(info["backing-filename-format"], "raw");
  assert.deepEqual(await readFile(join(machine, "disk.img")), before);
});

test("the format of a disk is told by its name, whatever a guest wrote to it", async () => {
  await using place = await temporaryDirectory("croft-test-storage-");
  const { storage, machine, task } = await machineWith(place.path, ["disk.img"]);
  const forged = join(place.path, "forged");
  await run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/hostname", forged, "1M"], {
    timeoutSeconds: 300,
  });
  await writeFile(join(machine, "disk.img"), await readFile(forged));
  await storage.overlay(machine, task);
  const { stdout } = await run(
    ["qemu-img", "info", "--output=json", "--backing-chain", join(task, "disk.qcow2")],
    {
      timeoutSeconds: 300,
    },
  );
  assert.ok(!stdout.includes("/etc/hostname"), stdout);
});

test("other files of a task's snapshot are shared and cost nothing", async () => {
  await using place = await temporaryDirectory("croft-test-storage-");
  const { storage, machine, task } = await machineWith(place.path, ["disk.img"]);
  await storage.overlay(machine, task);
  assert.equal((await stat(join(task, "kernel"))).ino, (await stat(join(machine, "kernel"))).ino);
  await storage.remove(task);
  assert.equal(await readFile(join(machine, "kernel"), "utf8"), "kernel");
});

test("two disks that would get the same name are refused", async () => {
  await using place = await temporaryDirectory("croft-test-storage-");
  const { storage, machine, task } = await machineWith(place.path, ["disk.img", "disk.qcow2"]);
  await assert.rejects(storage.overlay(machine, task), /two disks named 'disk'/);
  assert.deepEqual(await readdir(place.path), ["machine"]);
});

test("btrfs storage is refused where there is no btrfs", async () => {
  await using place = await temporaryDirectory("croft-test-storage-");
  await assert.rejects(openStorage(place.path, "btrfs", silentLog()), (error: unknown) => {
    assert.ok(error instanceof Failure);
    assert.match(error.message, /it is not on a btrfs file system/);
    return true;
  });
  await assert.rejects(
    openStorage(join(place.path, "gone"), "auto", silentLog()),
    /no such file or directory/,
  );
});
