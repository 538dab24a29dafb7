/** Saved machines, many times over, and with everything that may come between */
import assert from "node:assert/strict";
import { copyFileSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { chmod, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { btrfsFileSystem } from "../fixtures/machines/btrfs.ts";
import { startFarm, type Farm, type FarmOptions } from "../fixtures/farm.ts";
import { minimalMachine } from "../fixtures/machines/images.ts";
import { copyTree } from "../fixtures/machines/ready-machines.ts";
import { restoreCopies } from "../fixtures/machines/restored.ts";
import { packSource, script } from "../worker/sources.ts";

const restores = 200;
const siblings = 40;
const kills = 12;

async function warmFarm(more: Partial<FarmOptions> = {}): Promise<Farm> {
  const farm = await startFarm({
    ahead: true,
    ...{ machine: "minimal", warm: true, agent: ["--ram", "262144"], controller: "retries: 0\n" },
    ...more,
  });
  const draw = [
    "cat /proc/sys/kernel/random/boot_id",
    "head -c 32 /dev/urandom | sha256sum",
    "mktemp -u /tmp/XXXXXXXX",
  ];
  await packSource(farm.sources, {
    ".croft/update": script(
      ...draw.map((each) => `echo "drew $(${each})"`),
      "echo ahead $(find . -newermt @$(($(date +%s) + 1)) | wc -l)",
    ),
  });
  return farm;
}

async function build(farm: Farm): Promise<string[]> {
  const id = await farm.submit({ name: "hello" });
  const view = await farm.ended(id);
  const log = await farm.log(id);
  assert.equal(view.status, "success", `${log}\n${await farm.agentTail()}`);
  assert.match(log, /^ahead 0$/m); // no file of a build is from the future
  return [...log.matchAll(/^drew (.*)$/gm)].map(([, drawn]) => drawn!);
}

const agentLog = (farm: Farm) => readFileSync(farm.agentLog, "utf8");
const home = (farm: Farm) => join(farm.machines, "volume", "minimal");

/** Nothing is left but the machine; what is in it is told. */
function assertTidy(farm: Farm): string[] {
  const others = readdirSync(home(farm)).filter(
    (name) => !/^minimal-(1|1\.1|default|default\.lock)$/.test(name),
  );
  assert.deepEqual(others, []);
  const names = readdirSync(join(home(farm), "minimal-default"));
  assert.deepEqual(
    names.filter((name) => name.startsWith(".")),
    [],
  );
  return names;
}

test("of many restored machines no two have drawn the same", async (context) => {
  await using farm = await warmFarm();
  await farm.startAgent();
  const drawn: string[][] = [];
  for (let one = 0; one < restores; one++) drawn.push(await build(farm));
  assert.equal(agentLog(farm).split("machine restored").length - 1, restores);
  for (const what of [0, 1, 2]) assert.equal(new Set(drawn.map((one) => one[what])).size, restores);
  context.diagnostic(`from the task to the machine's first word: ${medianStart(farm)} s`);
});

/** A first process that reads the number of the boot, as systemd does, and runs croft-init as a service. */
const otherInit = [
  "ln -s /proc/self/fd /dev/fd; mkdir -p /dev/pts /dev/shm; mount -t devpts devpts /dev/pts",
  "for place in /run /tmp /dev/shm; do mount -t tmpfs tmpfs $place; done; mount -t cgroup2 none /sys/fs/cgroup",
  "modprobe -q -a virtio_net virtio_console virtio_rng qemu_fw_cfg af_packet rtc_cmos",
  "ip link set lo up; until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done",
  "ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up; ip route add default via 10.0.2.2",
  "cat /proc/sys/kernel/random/boot_id",
  "trap 'sync; mount -o remount,ro /; busybox poweroff -f' USR2",
  // By its whole name the worker would take this for croft-init.
  "/sbin/croft-ini[t] & while :; do wait; sleep 1; done",
].join("; ");

test("where another init has read the number of its boot before the machine was saved, copies have numbers of their own", async () => {
  const revision = await minimalMachine();
  await using farm = await warmFarm();
  const current = join(farm.machines, "volume", "minimal", "minimal-1");
  await rm(current);
  await copyTree(revision, `${current}.1`);
  await symlink("minimal-1.1", current);
  const parameters = readFileSync(join(current, "cmdline"), "utf8").replace(/ init=\S+/, " init=/bin/sh");
  await rm(join(current, "cmdline"));
  await writeFile(join(current, "cmdline"), `${parameters.trim()} -- -c "${otherInit}"\n`);
  await farm.startAgent();
  const drawn = [await build(farm), await build(farm), await build(farm)];
  assert.equal(agentLog(farm).split("machine restored").length - 1, 3, agentLog(farm));
  for (const what of [0, 1, 2]) assert.equal(new Set(drawn.map((one) => one[what])).size, 3, String(drawn));
});

test("copies with two processors have drawn the same no more than those with one", async () => {
  const [ramKiB, cpus] = [262_144, 2];
  await using farm = await warmFarm({ agent: ["--ram", String(ramKiB), "--cpu", String(cpus)] });
  await farm.startAgent();
  for (const _ of ["restored", "the same again"]) assert.equal((await build(farm)).length, 3);
  await farm.stopAgent();
  assert.match(agentLog(farm), /machine restored/);
  const copies = await restoreCopies(farm, { count: siblings, cpus, ramKiB });
  assert.equal(new Set(copies.map(({ drawn }) => drawn.toString("hex"))).size, siblings);
  assertTidy(farm);
});

/** Between "task received" and "machine is up", in whole seconds of the log. */
function medianStart(farm: Farm): number {
  const seconds: number[] = [];
  let began = 0;
  for (const [, hours, minutes, second, message] of agentLog(farm).matchAll(
    /^\[(\d\d):(\d\d):(\d\d)\] \w+: (.*)$/gm,
  )) {
    const time = (Number(hours) * 60 + Number(minutes)) * 60 + Number(second);
    if (message!.startsWith("task received")) began = time;
    if (message!.startsWith("machine is up")) seconds.push(time - began);
  }
  return seconds.sort((a, b) => a - b)[Math.floor(seconds.length / 2)]!;
}

test("on btrfs, too, tasks begin in saved machines, and the snapshot of the machine is all there is", async () => {
  await using volume = await btrfsFileSystem({ sizeMiB: 2048 });
  await using farm = await warmFarm({
    machines: volume.path,
    agent: ["--ram", "262144", "--storage", "btrfs"],
  });
  await farm.startAgent();
  const drawn = [await build(farm), await build(farm)];
  assert.equal(agentLog(farm).split("machine restored").length - 1, 2, agentLog(farm));
  assert.notEqual(drawn[0]![1], drawn[1]![1]);
  await farm.stopAgent();
  assert.ok(assertTidy(farm).includes("warm"));
  const { stdout } = await run(["btrfs", "subvolume", "list", volume.path], { timeoutSeconds: 300 });
  assert.equal(stdout.trim().split("\n").length, 2, stdout);
});

test("a disk that is full while a machine is saved costs nothing but the state", async () => {
  await using volume = await btrfsFileSystem({ sizeMiB: 220 });
  await using farm = await warmFarm({
    machines: volume.path,
    agent: ["--ram", "262144", "--storage", "btrfs"],
  });
  await farm.startAgent();
  await build(farm);
  assert.match(agentLog(farm), /machine not saved: it is booted for every task/);
  await farm.stopAgent();
  const names = assertTidy(farm);
  assert.deepEqual([names.includes("warm"), names.includes("warm-failure")], [false, true]);
});

test("another QEMU, or other memory, has the machine booted, and an unchanged one restored again", async () => {
  await using directory = await temporaryDirectory("croft-test-qemu-");
  const { stdout } = await run(["sh", "-c", "command -v qemu-system-x86_64"], { timeoutSeconds: 300 });
  // QEMU, as a user of its own, looks for its modules and firmware from where its program lies.
  await chmod(directory.path, 0o755);
  for (const name of ["lib", "share"]) await symlink(`/usr/${name}`, join(directory.path, name));
  await mkdir(join(directory.path, "bin"));
  const qemu = join(directory.path, "bin", "qemu");
  copyFileSync(stdout.trim(), qemu);
  await using farm = await warmFarm({ agent: [] });
  const unchanged: [string[], RegExp] = [["--ram", "262144"], /machine restored/];
  const phases: [string[], RegExp][] = [
    unchanged,
    [["--ram", "262144", "--qemu", qemu], /QEMU has changed since it was saved/],
    [["--ram", "270336"], /processors or memory has changed since it was saved/],
    unchanged,
  ];
  for (const [options, told] of phases) {
    await farm.startAgent(options);
    await build(farm);
    await farm.stopAgent();
    assert.match(agentLog(farm), told);
  }
});

test("an agent that is killed at any moment of saving and restoring leaves nothing that its successor does not clear away", async () => {
  await using farm = await warmFarm();
  for (let killed = 0; killed < kills; killed++) {
    await farm.startAgent();
    const id = await farm.submit({ name: "hello" });
    // The first are killed while the machine is bootstrapped and saved, the others while it is restored.
    await delay(1000 + Math.random() * 15_000);
    await farm.killAgent();
    await farm.startAgent();
    assert.equal((await farm.ended(id)).status, "success", await farm.agentTail());
    await farm.stopAgent();
    assertTidy(farm);
  }
});
