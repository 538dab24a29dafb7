import assert from "node:assert/strict";
import { existsSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "node:test";
import { run } from "../../../os/run.ts";
import { packageFile } from "../../../os/files/package.ts";
import type { MachineReport, MachineSummary } from "../../../machines/commands/inventory.ts";
import { manifestPath } from "../../../machines/layout.ts";
import { MachineLock, tryMachineLock } from "../../../machines/locks.ts";
import { btrfsFileSystem } from "../../fixtures/machines/btrfs.ts";
import { makeFarm, toolchain, type Farm } from "../farm.ts";

/** Runs `croft machine …` on a farm. */
async function machine(farm: Farm, ...args: string[]) {
  const argv = [
    process.execPath,
    packageFile("bin", "main.ts"),
    "machine",
    ...args,
    "--machines",
    farm.directory,
  ];
  return run(argv, { timeoutSeconds: 300, accept: [1, 2] });
}

async function list(farm: Farm): Promise<MachineSummary[]> {
  const { stdout } = await machine(farm, "list", "--json", "--toolchain-name", toolchain);
  return (JSON.parse(stdout) as { machines: MachineSummary[] }).machines;
}

async function holding(farm: Farm, name: string, priority?: number): Promise<MachineLock> {
  return farm.enumerate((found, toolchainLock) => {
    const ours = found.machines.find(({ paths }) => paths.name === name)!;
    assert.ok(ours.state === "locked");
    ours.lock.write(toolchainLock, priority);
    return found.take(ours);
  });
}

test("the list tells of each machine what it is, whether it is bootstrapped, and who holds it", async () => {
  await using farm = await makeFarm();
  for (const name of ["fresh", "held", "outdated", "ready"]) await farm.publish(name);
  await farm.bootstrapAll();
  await farm.publish("outdated");
  await farm.storage.remove(farm.paths("fresh").bootstrapped);
  await farm.publish("broken", { manifest: ": 1\nid: x\n" });
  await mkdir(join(farm.directory, "v", "lost+found"));
  using _lock = await holding(farm, "held", 100);
  assert.deepEqual(
    (await list(farm)).map(({ name, current, bootstrapped, holder }) => ({
      name,
      current,
      bootstrapped,
      holder,
    })),
    [
      { name: "broken", current: "broken-1.1", bootstrapped: "no", holder: undefined },
      { name: "fresh", current: "fresh-1.1", bootstrapped: "no", holder: undefined },
      { name: "held", current: "held-1.1", bootstrapped: "yes", holder: { pid: process.pid, priority: 100 } },
      { name: "outdated", current: "outdated-1.2", bootstrapped: "outdated", holder: undefined },
      { name: "ready", current: "ready-1.1", bootstrapped: "yes", holder: undefined },
    ],
  );
  const { stdout } = await machine(farm, "list", "--toolchain-name", toolchain);
  assert.match(stdout, /^MACHINE +VOLUME +CURRENT +ID +BOOTSTRAPPED +WARM +HELD BY +SUMMARY$/m);
  assert.match(
    stdout,
    new RegExp(
      `^held +v +held-1\\.1 +held-1\\.1 +yes +no +pid ${process.pid}, priority 0100 +A machine`,
      "m",
    ),
  );
  assert.match(stdout, /^broken .*unusable: .*broken-1\.1\/manifest:\d+:\d+: /m);
  assert.doesNotMatch(stdout, /lost/);
});

test("showing a machine lists revisions with sizes, what was bootstrapped, and what is left over", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.publish("a");
  await farm.bootstrapAll();
  await mkdir(join(farm.paths("a").directory, "a-gcc-3-abcdef"));
  const { stdout } = await machine(farm, "show", "a", "--json");
  const report = JSON.parse(stdout) as MachineReport;
  assert.equal(report.current, "a-1.2");
  assert.deepEqual(
    report.revisions.map(({ name, manifest }) => [name, manifest?.id]),
    [
      ["a-1.1", "a-1.1"],
      ["a-1.2", "a-1.2"],
    ],
  );
  for (const { bytes } of report.revisions) assert.ok(bytes >= 4096);
  assert.deepEqual(
    report.bootstrapped.map((tree) => [tree.toolchain, tree.manifest?.machine.id]),
    [["gcc", "a-1.2"]],
  );
  assert.deepEqual(
    report.temporary.map(({ name }) => name),
    ["a-gcc-3-abcdef"],
  );
  const text = (await machine(farm, "show", "a")).stdout;
  assert.match(text, /^ {2}\* {2}a-1\.2 +\d+\.\d KiB +a-1\.2 +A machine for tests$/m);
  assert.match(text, /^ +a-gcc +\d+\.\d KiB +a-1\.2 +croft 1\.2\.0, gcc 12\.2\.0$/m);
  assert.match(text, /^ {2}summary: A machine for tests$/m);
  const none = await machine(farm, "show", "a", "--json", "--toolchain-name", "other");
  assert.deepEqual((JSON.parse(none.stdout) as MachineReport).bootstrapped, []);
});

test("a machine is removed whole, with read-only revisions too, and the others stay", async () => {
  await using system = await btrfsFileSystem();
  await using farm = await makeFarm({ parent: system.path });
  await farm.publish("a");
  await farm.publish("b");
  await farm.bootstrapAll();
  const { directory } = farm.paths("a");
  await run(["btrfs", "subvolume", "snapshot", "-r", join(directory, "a-1.1"), join(directory, "a-1.2")], {
    timeoutSeconds: 300,
  });
  const { status, stdout } = await machine(farm, "remove", "a");
  assert.equal(status, 0);
  assert.equal(stdout, "removed machine a\n");
  assert.deepEqual(await readdir(join(farm.directory, "v")), ["b"]);
  const { stdout: left } = await run(["btrfs", "subvolume", "list", system.path], { timeoutSeconds: 300 });
  assert.doesNotMatch(left, /v\/\.?a/);
});

test("a machine that an agent holds, for whatever toolchain, is not removed", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  using lock = await holding(farm, "a", 1);
  for (const args of [
    ["remove", "a"],
    ["remove", "a", "--revision", "1"],
  ]) {
    const { status, stderr } = await machine(farm, ...args);
    assert.equal(status, 1);
    assert.match(stderr, new RegExp(`process ${process.pid} holds the lock 'a-gcc\\.lock'`));
  }
  assert.deepEqual(await farm.names("a"), ["a-1", "a-1.1", "a-gcc", "a-gcc.lock"]);
  assert.deepEqual(await readdir(join(farm.directory, "v")), ["a"]);
  lock[Symbol.dispose]();
  assert.equal((await machine(farm, "remove", "a")).status, 0);
});

test("an old revision can be removed, the current one cannot", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.publish("a");
  assert.match((await machine(farm, "remove", "a", "--revision", "2")).stderr, /it is the current one/);
  assert.match((await machine(farm, "remove", "a", "--revision", "3")).stderr, /there is no '.*a-1\.3'/);
  assert.equal((await machine(farm, "remove", "a", "--revision", "1")).status, 0);
  assert.deepEqual(await farm.names("a"), ["a-1", "a-1.2"]);
});

test("the current revision is not removed, however its path is spelled", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  const { directory, current } = farm.paths("a");
  const link = `${farm.directory}-link`;
  symlinkSync(farm.directory, link);
  symlinkSync("a-1.1", join(directory, "another-link"));
  const remove = async (machines: string) => {
    const argv = [process.execPath, packageFile("bin", "main.ts"), "machine", "remove", "a"];
    return run([...argv, "--revision", "1", "--machines", machines], {
      ...{ timeoutSeconds: 300, accept: [1, 2], cwd: join(farm.directory, "..") },
    });
  };
  const refused = async (machines: string) => {
    assert.match((await remove(machines)).stderr, /it is the current one/);
    assert.ok((await farm.names("a")).includes("a-1.1"));
  };
  await refused(basename(farm.directory)); // relative
  await refused(link);
  for (const target of [join(link, "v", "a", "a-1.1"), "another-link"]) {
    rmSync(current);
    symlinkSync(target, current);
    await refused(farm.directory);
  }
  assert.equal((await remove("")).status, 2);
});

test("a removal that was cut short is finished by the next one", async () => {
  await using farm = await makeFarm();
  const left = join(farm.directory, "v", ".a.b1c2d3.removed");
  const other = join(farm.directory, "v", ".b.b1c2d3.removed");
  await mkdir(join(left, "a-1.1"), { recursive: true });
  writeFileSync(manifestPath(join(left, "a-1.1")), "");
  await mkdir(other);
  assert.equal((await machine(farm, "remove", "a")).status, 0);
  assert.ok(!existsSync(left));
  assert.ok(existsSync(other));
});

test("what is not there, and names that are none, are refused in one line", async () => {
  await using farm = await makeFarm();
  for (const verb of ["show", "remove"]) {
    const missing = await machine(farm, verb, "nothing");
    assert.equal(missing.status, 1);
    assert.match(missing.stderr, /^croft: Cannot (show|remove) machine 'nothing': there is none in /);
    assert.equal((await machine(farm, verb, "../v")).status, 2);
  }
  assert.equal((await machine(farm, "list", "--toolchain-name", "a-1")).status, 2);
  assert.equal((await machine(farm, "frobnicate")).status, 2);
  const { stdout } = await machine(farm, "list");
  assert.match(stdout, /There are no machines/);
});

test("listing does not disturb: no lock is taken and no file is made", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await machine(farm, "list");
  await machine(farm, "show", "a");
  assert.deepEqual(await farm.names("a"), ["a-1", "a-1.1"]);
  const assertHeld = () => {};
  const lock = tryMachineLock({ assertHeld } as Parameters<typeof tryMachineLock>[0], farm.paths("a"));
  assert.ok(lock instanceof MachineLock);
  lock[Symbol.dispose]();
});
