/** Machines that cannot be bootstrapped: each is told apart, and the agent goes on. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { copyMachine, minimalMachine } from "../fixtures/machines/images.ts";
import { AgentHome, type Ended } from "../agent/running-agent.ts";

const machineSeconds = 600;

/** Lets an agent bootstrap a minimal machine whose first process is this script. */
async function bootstrap(
  home: AgentHome,
  script: string | undefined,
  options: string[] = [],
): Promise<Ended> {
  const directory = home.at("machines", "volume", "minimal");
  await mkdir(directory, { recursive: true });
  if (script === undefined) await symlink(await minimalMachine(), `${directory}/minimal-1`);
  else {
    await makeRevision(`${directory}/minimal-1.1`, script);
    await symlink("minimal-1.1", `${directory}/minimal-1`);
  }
  const limits = ["--ram", "262144", "--startup-timeout", String(machineSeconds)];
  return home.start(["--dump-machines", "--verbose", "3", ...limits, ...options], { fake: false }).ended;
}

/** A revision of the minimal machine whose first process is a shell that runs the script, from a second disk. */
async function makeRevision(path: string, script: string): Promise<void> {
  await copyMachine(await minimalMachine(), path);
  await writeFile(`${path}/disk2.img`, `${script}\n`.padEnd(65_536, "\n"));
  const parameters = await readFile(`${path}/cmdline`, "utf8");
  await rm(`${path}/cmdline`); // it is the image's own
  await writeFile(`${path}/cmdline`, `${parameters.trim()} init=/bin/sh -- /dev/vdb`);
}

/** Nothing but the machine and its lock, and what is kept as evidence. */
function assertClean(home: AgentHome): void {
  assert.deepEqual(readdirSync(home.at("machines", "volume", "minimal")).sort(), [
    "minimal-1",
    "minimal-1.1",
    "minimal-default.lock",
  ]);
  assert.deepEqual(readdirSync(home.at("tftp", "bootstrap")), []);
  assert.ok(readdirSync(home.at("spool", "default-1", "evidence")).length > 0);
}

test("a machine that stays silent is booted again as often as told, then left alone", async () => {
  await using home = await AgentHome.make();
  const { status, stdout, stderr } = await bootstrap(home, "sleep 1000", [
    "--startup-timeout",
    "3",
    "--bootstrap-retries",
    "1",
  ]);
  assert.equal(status, 0, stderr);
  assert.equal(stdout, "");
  assert.match(stderr, /WARN: mis-boot: no sign of life within 3 s, trying again/);
  assert.match(stderr, /ERROR: bootstrap failed .*"reason":"no sign of life within 3 s, no retry left"/);
  assert.match(stderr, /WARN: machine left alone for a while .*"minutes":1/);
  assertClean(home);
});

test("a machine that ends before its first sign of life has failed at once", async () => {
  await using home = await AgentHome.make();
  const { status, stderr } = await bootstrap(home, "mount -t proc proc /proc; busybox poweroff -f");
  assert.equal(status, 0);
  assert.match(stderr, /ERROR: machine ended before its first sign of life/);
  assert.doesNotMatch(stderr, /trying again/);
  assertClean(home);
});

const address = "set -- $(busybox tr ':' ' ' < /sys/firmware/qemu_fw_cfg/by_name/opt/croft/tftp/raw)";
const prelude = `busybox mount -t proc proc /proc; busybox mount -t sysfs sys /sys; busybox modprobe qemu_fw_cfg
busybox mount -t tmpfs tmp /tmp
busybox modprobe virtio_net
sleep 1
for interface in /sys/class/net/e*; do busybox ifconfig "\${interface##*/}" 10.0.2.15 up; done
${address}`;

test("a bootstrap manifest that is malformed fails the bootstrap, and is kept", async () => {
  await using home = await AgentHome.make();
  const { status, stderr } = await bootstrap(
    home,
    `${prelude}\necho nonsense > /tmp/m\nbusybox tftp -p -l /tmp/m -r bootstrap.manifest $1 $2\nsleep 1000`,
  );
  assert.equal(status, 0);
  assert.match(stderr, /ERROR: bootstrap failed .*bootstrap\.manifest:1:9: /);
  const [kept] = readdirSync(home.at("spool", "default-1", "evidence"));
  assert.ok(readdirSync(home.at("spool", "default-1", "evidence", kept!)).includes("bootstrap.manifest"));
  assertClean(home);
});

test("a machine that works is bootstrapped once, and found ready the next time", async () => {
  await using home = await AgentHome.make();
  const first = await bootstrap(home, undefined);
  assert.equal(first.status, 0);
  assert.match(first.stdout, /^: 1\nid: .*\nname: minimal\nsummary: /);
  const again = await home.start(["--dump-machines", "--verbose", "3"], { fake: false }).ended;
  assert.equal(again.stdout, first.stdout);
  assert.doesNotMatch(again.stderr, /bootstrapping/);
  // A change of the toolchain's id is a reason to do it again.
  const changed = await home.start(["--dump-machines", "--fake-bootstrap", "--toolchain-id", "new"], {
    fake: false,
  }).ended;
  assert.match(changed.stderr, /bootstrapping/);
});

test("a malformed machine manifest is one clear error, and the other machines are offered", async () => {
  await using home = await AgentHome.make();
  await mkdir(home.at("machines", "volume", "bad", "bad-1.1"), { recursive: true });
  await writeFile(
    home.at("machines", "volume", "bad", "bad-1.1", "manifest"),
    ": 1\nid: bad-1\nname: bad\nsummary: x\ntype: oven\n",
  );
  await symlink("bad-1.1", home.at("machines", "volume", "bad", "bad-1"));
  const { status, stdout, stderr } = await bootstrap(home, undefined, ["--fake-bootstrap"]);
  assert.equal(status, 0);
  assert.match(stdout, /name: minimal/);
  assert.match(stderr, /ERROR: .*bad-1\.1\/manifest:5:7: /);
});
