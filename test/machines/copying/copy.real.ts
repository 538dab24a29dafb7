/** `croft machine copy` to a host that has an sshd of its own; in the long part, a network as well, with a cable that is pulled out. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { packageFile } from "../../../os/files/package.ts";
import { run } from "../../../os/run.ts";
import { withoutUndefined } from "../../../os/without-undefined.ts";
import { startHosts, type SshHosts } from "../../boss/ssh-hosts.ts";
import { btrfsFileSystem } from "../../fixtures/machines/btrfs.ts";
import { minimalMachine } from "../../fixtures/machines/images.ts";
import { enterNetworkNamespace, startNeighbour, type Neighbour } from "../../fixtures/network.ts";
import { patienceMs, patienceSeconds } from "../../fixtures/patience.ts";

let hosts: SshHosts;
/** The machines of this host: a minimal one, in two revisions of which the second has a file more. */
let here: string;

const limit = { timeoutSeconds: patienceSeconds };
const croft = [process.execPath, packageFile("bin", "main.ts")];

/** Each kill is a copy of its own: they are in a long part. */
const isLong = process.env["CROFT_COPY_KILLS"] !== undefined;
let neighbour: Neighbour | undefined;

before(async () => {
  await minimalMachine(); // made of Debian's packages, if it has to be: not where there is no network
  if (isLong) {
    await enterNetworkNamespace();
    neighbour = await startNeighbour();
  }
  hosts = await startHosts(["other"], withoutUndefined({ at: neighbour }));
  const known = ["ssh", "-o", "StrictHostKeyChecking=accept-new", "other", "true"]; // as its user has said yes
  await run(known, { ...limit, env: hosts.env });
  here = join(hosts.directory, "here");
  const home = join(here, "v", "small");
  await mkdir(home, { recursive: true });
  for (const number of [1, 2]) {
    const revision = join(home, `small-1.${number}`);
    await run(["cp", "-a", "--sparse=always", await minimalMachine(), revision], limit);
    const manifest = join(revision, "manifest");
    const text = readFileSync(manifest, "utf8");
    await writeFile(
      manifest,
      text.replace(/^id: .*$/m, `id: small-${number}`).replace(/^name: .*$/m, "name: small"),
    );
  }
  const disk = join(home, "small-1.2", "disk.img");
  await run(["debugfs", "-w", "-R", `write ${packageFile("CHANGELOG.md")} news`, disk], limit);
  await symlink("small-1.1", join(home, "small-1"));
});

after(async () => {
  await hosts[Symbol.asyncDispose]();
  await neighbour?.[Symbol.asyncDispose]();
});

/** Starts `croft machine copy`. */
function start(to: string, ...more: string[]): { child: ChildProcess; output: () => string } {
  const args = ["machine", "copy", "small", "other", "--machines", here, "--to-machines", to];
  const called = more.includes("--croft") ? [] : ["--croft", croft.join(" ")];
  const child = spawn(croft[0]!, [croft[1]!, ...args, ...called, ...more], { env: hosts.env });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (text += String(chunk)));
  return { child, output: () => text };
}

async function copy(to: string, ...more: string[]): Promise<{ status: number; output: string }> {
  const { child, output } = start(to, ...more);
  const [status] = (await once(child, "close")) as [number];
  return { status, output: output() };
}

function sentBytes(output: string): number {
  const [, number, unit] = /([\d.]+) (bytes|KiB|MiB) sent, /.exec(output) ?? [];
  return Number(number) * { bytes: 1, KiB: 1024, MiB: 1024 ** 2 }[unit as "bytes"];
}

async function assertSame(one: string, other: string): Promise<void> {
  await run(["diff", "-r", "--exclude=disk.img", one, other], limit);
  const disks = [one, other].map((revision) => join(revision, "disk.img"));
  await run(["qemu-img", "compare", "-f", "raw", "-F", "raw", ...disks], limit); // it knows of holes
}

test("a machine is copied whole, its next revision by what is new, also between file systems; what is there is made current", async (context) => {
  await using fileSystem = await btrfsFileSystem({ sizeMiB: 512 });
  const there = join(fileSystem.path, "machines");
  const first = await copy(there);
  assert.equal(first.status, 0, first.output);
  const machine = join(there, "default", "small");
  assert.ok(first.output.endsWith(`other:${join(machine, "small-1.1")}\n`), first.output);
  assert.match(first.output, /other: space: [\d.]+ MiB; [\d.]+ MiB are free/);
  await assertSame(join(here, "v", "small", "small-1.1"), join(machine, "small-1.1"));
  const second = await copy(there, "--revision", "2");
  assert.equal(second.status, 0, second.output);
  await assertSame(join(here, "v", "small", "small-1.2"), join(machine, "small-1.2"));
  assert.equal(readlinkSync(join(machine, "small-1")), "small-1.2");
  context.diagnostic([first, second].map(({ output }) => /[\d.]+ \w+ sent, .*/.exec(output)![0]).join("; "));
  const ratio = sentBytes(first.output) / sentBytes(second.output);
  assert.ok(ratio > 20, `${first.output}${second.output}`);
  const blocks = async (name: string) =>
    (await run(["du", "-k", join(machine, name, "disk.img")], limit)).stdout;
  assert.ok(parseInt(await blocks("small-1.2")) < 200 * 1024, "holes are holes there, too");
  const back = await copy(there);
  assert.match(back.output, /it was there already/);
  assert.equal(readlinkSync(join(machine, "small-1")), "small-1.1");
  assert.deepEqual((await readdir(machine)).sort(), ["small-1", "small-1.1", "small-1.2"]);
});

const killing = isLong ? test : () => {};

void killing(
  "a copy that is interrupted or killed at either end leaves nothing; what a killed receiver leaves, the next clears away",
  async () => {
    const there = join(hosts.directory, "interrupted");
    const machine = join(there, "default", "small");
    for (const kill of ["SIGINT", "SIGKILL", "there"] as const) {
      const { child, output } = start(there);
      const left = () => (existsSync(machine) ? readdirSync(machine) : []);
      while (left().length === 0) {
        assert.equal(child.exitCode, null, output());
        await delay(2);
      }
      child.kill("SIGSTOP"); // in the middle of it
      const receivers = await processesWith("receive", there);
      assert.equal(receivers.length, 1, output());
      assert.match(left().join(" "), /^\.small-1\.\w+\.new$/, "it is hidden from agents");
      if (kill === "there") for (const pid of receivers) process.kill(pid, "SIGKILL");
      else child.kill(kill);
      child.kill("SIGCONT");
      await once(child, "close");
      if (kill !== "SIGKILL") assert.equal(child.exitCode, kill === "there" ? 1 : 130, output());
      await until(async () => (await processesWith("receive", there)).length === 0);
      if (kill !== "there") assert.deepEqual(await readdir(machine), [], output());
      else
        assert.match(
          output(),
          /^croft: Cannot copy machine 'small' to 'other': (it ended before its time|the connection is lost, or croft there was killed)$/m,
        );
    }
    assert.equal((await readdir(machine)).length, 1);
    const whole = await copy(there);
    assert.equal(whole.status, 0, whole.output);
    assert.deepEqual((await readdir(machine)).sort(), ["small-1", "small-1.1"]);
  },
);

void killing("a cable that is pulled out ends a copy with the reason, and is in nobody's way", async () => {
  const there = join(hosts.directory, "cut");
  const machine = join(there, "default", "small");
  const { child, output } = start(there);
  const left = () => (existsSync(machine) ? readdirSync(machine) : []);
  while (left().length === 0) {
    assert.equal(child.exitCode, null, output());
    await delay(2);
  }
  child.kill("SIGSTOP");
  await neighbour!.connect(false);
  child.kill("SIGCONT");
  await once(child, "close");
  assert.equal(child.exitCode, 1, output());
  assert.match(
    output(),
    /^croft: Cannot copy machine 'small' to 'other': the connection is lost, or croft there was killed$/m,
  );
  await neighbour!.connect(true);
  const whole = await copy(there);
  assert.equal(whole.status, 0, whole.output);
  // The other end is not told, and gives up after minutes of silence (receive.test.ts).
  for (const pid of await processesWith("receive", there)) process.kill(pid, "SIGTERM");
  await until(async () => (await processesWith("receive", there)).length === 0);
  assert.deepEqual((await readdir(machine)).sort(), ["small-1", "small-1.1"]);
});

test("no room, another program, no croft or a disk of something else: each is refused with its reason", async () => {
  await using tight = await btrfsFileSystem({ sizeMiB: 128 });
  await run(["fallocate", "-l", "40M", join(tight.path, "full")], limit);
  const full = await copy(join(tight.path, "m"));
  assert.equal(full.status, 1);
  assert.match(
    full.output,
    /^croft: Cannot copy machine 'small' to 'other': Cannot receive machine 'small': it takes /m,
  );
  const there = join(hosts.directory, "refused");
  for (const [command, reason] of [
    ["yes;", /it says 'y' instead of a greeting/],
    ["croft-that-is-not-there", /not found\n {2}It takes croft of this version there/],
  ] as const) {
    const { status, output } = await copy(there, "--croft", command);
    assert.equal(status, 1, output);
    assert.match(output, reason);
  }
  const disk = join(here, "v", "small", "small-1.1", "disk2.qcow2");
  await run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", disk], limit);
  const based = await copy(there);
  await rm(disk);
  assert.match(based.output, /its disk 'disk2\.qcow2' cannot be used elsewhere: it has a backing file/);
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + patienceMs; !(await condition());) {
    assert.ok(performance.now() < deadline);
    await delay(20);
  }
}

/** Processes of this program whose command line has these words. */
async function processesWith(...words: string[]): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  return pids.filter((pid) => {
    try {
      const argv = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
      return argv[0] === process.execPath && words.every((word) => argv.includes(word));
    } catch {
      return false; // ended meanwhile
    }
  });
}
