import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { parseMachine } from "../../../manifests/machine.ts";
import { packageFile } from "../../../os/files/package.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { run as runProgram } from "../../../os/run.ts";
import { minimalMachine } from "../../fixtures/machines/images.ts";
import { playedImage, withSystemPrograms } from "./played-image.ts";
import { patienceMs, patienceSeconds } from "../../fixtures/patience.ts";

const limit = { timeoutSeconds: patienceSeconds };

/** Runs `croft machine import` as a process of its own. */
function start(machines: string, ...args: string[]): { child: ChildProcess; output: () => string } {
  const name = args.includes("auxiliary") ? "m-s" : "m";
  const argv = [packageFile("bin", "main.ts"), "machine", "import", name, ...args, "--machines", machines];
  const child = spawn(process.execPath, [...argv, "--disk-size", "1"]);
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (text += String(chunk)));
  return { child, output: () => text };
}

async function importImage(machines: string, ...args: string[]): Promise<{ status: number; output: string }> {
  const { child, output } = start(machines, ...args);
  const [status] = (await once(child, "close")) as [number];
  return { status, output: output() };
}

/** Processes whose command line names a directory. */
async function processesOf(directory: string): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(directory);
    } catch {
      return false; // ended meanwhile
    }
  });
}

/** What a file in a machine's disk has. */
async function fileIn(disk: string, path: string): Promise<string> {
  return (await runProgram(["debugfs", "-R", `cat ${path}`, disk], { ...limit, env: withSystemPrograms }))
    .stdout;
}

test("an image becomes a machine by one boot, and what does not is refused with its reason; nothing else is left", async () => {
  await using directory = await temporaryDirectory("croft-test-import-");
  const { image, args } = await playedImage(directory.path, await minimalMachine());
  const machines = join(directory.path, "machines");
  const machine = join(machines, "default", "m");
  const made = await importImage(machines, image, ...args("fine"), "--summary", "a summary");
  assert.equal(made.status, 0, made.output);
  assert.match(made.output, /^ *\d+ s {2}installing croft-init$/m);
  assert.ok(made.output.endsWith(`${join(machine, "m-1.1")}\n`), made.output);
  assert.equal(readlinkSync(join(machine, "m-1")), "m-1.1");
  const revision = join(machine, "m-1.1");
  assert.deepEqual((await readdir(revision)).sort(), ["cmdline", "disk.img", "initrd", "kernel", "manifest"]);
  const manifest = parseMachine(readFileSync(join(revision, "manifest")));
  assert.match(manifest.id, /^m-1\.1-[0-9a-f]{12}$/);
  assert.deepEqual([manifest.name, manifest.summary, manifest.type], ["m", "a summary", "kvm"]);
  const disk = join(revision, "disk.img");
  const init = readFileSync(packageFile("worker", "guest", "croft-init"), "utf8");
  assert.equal((await fileIn(disk, "/usr/sbin/croft-init")).trimEnd(), init.trimEnd());
  assert.match(
    await fileIn(disk, "/etc/systemd/system/croft-init.service"),
    /^ExecStart=\/usr\/sbin\/croft-init$/m,
  );
  assert.match(
    await fileIn(disk, "/etc/told-to-systemd"),
    /^-q enable croft-init\.service\npoweroff --no-block$/m,
  );
  const userData = join(directory.path, "user-data");
  writeFileSync(userData, "#!/bin/sh\nfalse\n");
  const failing = await importImage(machines, image, ...args("failing"), "--user-data", userData);
  assert.equal(failing.status, 1, failing.output);
  assert.match(failing.output, /Cannot import machine 'm': the user data failed: .*operator \[1\]/);
  const off = await importImage(machines, image, ...args("off"));
  assert.equal(off.status, 1, off.output);
  assert.match(
    off.output,
    /Cannot import machine 'm': the guest powered off, before it was ready; the end of its/,
  );
  const silent = await importImage(machines, image, ...args("nothing"), "--timeout", "1");
  assert.equal(silent.status, 1, silent.output);
  assert.match(silent.output, /is not ready after 1 s \(--timeout\), and cloud-init has not begun/);
  const empty = await importImage(machines, image, ...args("fine"), "--role", "auxiliary");
  assert.equal(empty.status, 1, empty.output);
  assert.match(empty.output, /Cannot import machine 'm-s': it has no program \/etc\/croft\/auxiliary/);
  assert.deepEqual((await readdir(machine)).sort(), ["m-1", "m-1.1"]);
});

test("an import that is interrupted leaves nothing; what a killed one leaves, the next clears away", async () => {
  await using directory = await temporaryDirectory("croft-test-import-");
  const { image, args } = await playedImage(directory.path, await minimalMachine());
  const machines = join(directory.path, "machines");
  const machine = join(machines, "default", "m");
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    const { child, output } = start(machines, image, ...args("nothing"));
    while (!output().includes("booting it, once")) {
      assert.equal(child.exitCode, null, output());
      await delay(20);
    }
    const [unfinished, ...others] = await readdir(machine);
    assert.deepEqual(others, [], "what was left before is gone");
    child.kill(signal);
    await once(child, "close");
    const deadline = performance.now() + patienceMs;
    while ((await processesOf(machines)).length > 0) {
      assert.ok(performance.now() < deadline, "processes are left");
      await delay(20);
    }
    if (signal === "SIGKILL")
      assert.match(unfinished!, /^\.m-1\.\w+\.new$/, "what is left is hidden from agents");
    else {
      assert.equal(child.exitCode, 130);
      assert.match(output(), /Cannot import machine 'm': interrupted by SIGTERM/);
      assert.deepEqual(await readdir(machine), []);
    }
  }
});
