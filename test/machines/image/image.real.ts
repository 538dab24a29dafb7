import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readlinkSync } from "node:fs";
import { chmod, readdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { run as runProgram } from "../../../os/run.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { parseMachine } from "../../../manifests/machine.ts";
import { btrfsFileSystem } from "../../fixtures/machines/btrfs.ts";
import { readRecipe } from "../../../machines/image/read-recipe.ts";
import { isRunning } from "../../fixtures/processes.ts";
import { startGuest } from "../qemu/qemu-guest.ts";
import { patienceMs, patienceSeconds } from "../../fixtures/patience.ts";

/** Runs `croft machine create` (or `update`) as a process of its own: what a signal leaves is to be seen. */
function create(machines: string, ...args: string[]): { child: ChildProcess; output: () => string } {
  const isUpdate = args[0] === "update";
  const [file, name] = isUpdate ? ["update-command", "updateCommand"] : ["create-command", "createCommand"];
  const own = isUpdate ? args.slice(1) : args;
  const program = `
    const { ${name} } = await import(${JSON.stringify(join(import.meta.dirname, `../../../machines/image/${file}.ts`))});
    const { runCommand } = await import(${JSON.stringify(join(import.meta.dirname, "../../../os/command-line/command.ts"))});
    process.exitCode = await runCommand(${name}(), ${JSON.stringify([...own, "--machines", machines])});
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program]);
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (text += String(chunk)));
  return { child, output: () => text };
}

async function untilSaid(run: ReturnType<typeof create>, wanted: RegExp): Promise<void> {
  while (!wanted.test(run.output())) {
    assert.equal(run.child.exitCode, null, run.output());
    await delay(20);
  }
}

/** Pids whose command line names the directory. */
async function processesOf(directory: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  return pids.filter((pid) => {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, "latin1");
      return environment.includes(directory) && isRunning(pid) && pid !== process.pid;
    } catch {
      return false; // ended meanwhile
    }
  });
}

/** A machines directory on btrfs, where revisions are subvolumes; without root, a plain one. */
async function machinesDirectory(): Promise<AsyncDisposable & { path: string }> {
  if (process.geteuid?.() !== 0) return await temporaryDirectory("croft-test-image-");
  return await btrfsFileSystem({ sizeMiB: 1024 });
}

async function listSubvolumes(path: string): Promise<string[]> {
  const { stdout } = await runProgram(["btrfs", "subvolume", "list", path], { timeoutSeconds: 300 });
  return [...stdout.matchAll(/ path (.*)$/gm)].map(([, name]) => name!);
}

/** Kills one that makes a machine; what it had begun is left as an unfinished revision. */
async function killWhileMaking(machines: string, machine: string): Promise<void> {
  const run = create(machines, "small", "--minimal");
  await untilSaid(run, /extracting|unpacking/);
  assert.notDeepEqual(await processesOf(machines), []);
  run.child.kill("SIGKILL");
  const deadline = performance.now() + patienceMs;
  while ((await processesOf(machines)).length > 0) {
    assert.ok(performance.now() < deadline, "processes are left");
    await delay(50);
  }
  const [left, ...others] = await readdir(machine);
  assert.match(left!, /^\.small-1\.\w+\.new$/, "what is left is hidden from agents");
  assert.deepEqual(others, []);
}

/** Runs it to its end, which is a good one, and returns what it said. */
async function made(machines: string, ...args: string[]): Promise<string> {
  const run = create(machines, ...args);
  const [status] = (await once(run.child, "close")) as [number];
  assert.equal(status, 0, run.output());
  return run.output();
}

test("a machine is made, published, and by its recipe made anew as its next revision; what was killed or fails is not seen", async () => {
  await using directory = await machinesDirectory();
  // A guest is based on it, and its QEMU is another user's.
  for (const path of [directory.path, dirname(directory.path)])
    if (path !== tmpdir()) await chmod(path, 0o711);
  const machine = join(directory.path, "default", "small");
  await killWhileMaking(directory.path, machine); // the next one clears it away
  await using files = await temporaryDirectory("croft-test-image-");
  const [script, list] = [join(files.path, "script"), join(files.path, "packages")];
  await writeFile(script, "echo from the script; echo made by $(id -u) > /made\n");
  await writeFile(list, "# what is needed\nlz4\n");
  const ids: string[] = [];
  const how = ["--minimal", "--summary", "a summary", "--include-file", list, "--script", script];
  const begun = [
    ["small", ...how],
    ["update", "small"],
  ];
  for (const [index, args] of begun.entries()) {
    const revision = index + 1;
    const said = await made(directory.path, ...args);
    assert.match(said, /^ *\d+ s {2}making the root file system$/m);
    assert.match(said, /^ *\d+ s {2}space: about 512 MiB while it is made, .* are free$/m);
    assert.match(said, /^ +\| from the script$/m);
    assert.ok(said.endsWith(`${join(machine, `small-1.${revision}`)}\n`), said);
    assert.equal(readlinkSync(join(machine, "small-1")), `small-1.${revision}`);
    const there = (await readdir(join(machine, "small-1"))).sort();
    assert.deepEqual(there, [
      "cmdline",
      "disk.img",
      "initrd",
      "kernel",
      "manifest",
      "packages",
      "recipe.yaml",
    ]);
    const manifest = parseMachine(readFileSync(join(machine, "small-1", "manifest")));
    assert.match(manifest.id, new RegExp(`^small-1\\.${revision}-[0-9a-f]{12}$`));
    assert.deepEqual([manifest.name, manifest.summary, manifest.type], ["small", "a summary", "kvm"]);
    assert.match(readFileSync(join(machine, "small-1", "packages"), "utf8"), /lz4_.*\.deb/);
    assert.deepEqual(readRecipe("small", join(machine, "small-1")).include, ["lz4"]);
    ids.push(manifest.id);
  }
  assert.notEqual(ids[0], ids[1]);
  const failing = create(directory.path, "small", "--minimal", "--include", "no-such-package");
  assert.deepEqual(await once(failing.child, "close"), [1, null], failing.output());
  assert.match(failing.output(), /Cannot make a machine .*Unable to locate package no-such-package/);
  assert.deepEqual((await readdir(machine)).sort(), ["small-1", "small-1.1", "small-1.2"]);
  if (process.geteuid?.() === 0)
    assert.deepEqual(await listSubvolumes(directory.path), [
      "default/small/small-1.1",
      "default/small/small-1.2",
    ]);
  // A package with libraries, unpacked with them, runs.
  const commands = "lz4 --version > $log; cat /made > $log";
  await using guest = await startGuest(commands, {}, join(machine, "small-1.2"));
  assert.equal((await guest.machine.wait(patienceSeconds))?.how, "shutdown");
  assert.match(guest.log(), /LZ4/);
  assert.match(guest.log(), /made by 0/);
});

for (const signal of ["SIGTERM", "SIGINT"] as const)
  test(`making a machine is interrupted by ${signal}, and nothing is left of it`, async () => {
    await using directory = await temporaryDirectory("croft-test-image-");
    const run = create(directory.path, "small", "--minimal");
    await untilSaid(run, /apt-get update|downloading/);
    run.child.kill(signal);
    const [status] = (await once(run.child, "close")) as [number];
    assert.equal(status, 130);
    assert.match(run.output(), new RegExp(`Cannot make machine 'small': interrupted by ${signal}`));
    assert.deepEqual(await readdir(join(directory.path, "default", "small")), []);
    assert.deepEqual(await processesOf(directory.path), []);
  });

test("wrong usage is told", async () => {
  await using directory = await temporaryDirectory("croft-test-image-");
  for (const [args, wanted] of [
    [["small", "--release", "Not/A/Name"], /expected a code name/],
    [["small", "--include", "a;b"], /'a;b' is not the name of a package/],
    [["small/x"], /Cannot make machine 'small\/x'/],
    [["small", "--disk-size", "0"], /from 1 to 1024/],
    [["small", "--arch", "sparc"], /expected one of amd64/],
  ] as const) {
    const wrong = create(directory.path, ...args);
    assert.deepEqual(await once(wrong.child, "close"), [2, null]);
    assert.match(wrong.output(), wanted);
  }
});
