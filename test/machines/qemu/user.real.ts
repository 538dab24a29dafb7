/** QEMU as a user of its own, in directories that are closed to it. Guests of other tests run so, too, if root runs these. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, statSync } from "node:fs";
import { chmod, mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { DirectoryStorage } from "../../../machines/directory-storage.ts";
import { startVirtualMachine } from "../../../machines/qemu/start.ts";
import { groupOfKvm, lookForUser } from "../../../machines/qemu/user.ts";
import type { StartOptions } from "../../../machines/virtual-machine.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { silentLog } from "../../../os/log.ts";
import { run } from "../../../os/run.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";
import { isRunning } from "../../fixtures/processes.ts";
import { guestOptions, guestUser } from "./qemu-guest.ts";

const skip = process.getuid?.() === 0 ? false : "only root becomes another user";

const writesItsDisk = `
mount -o remount,rw / ; echo "written" > /mark; sync
echo "disk: $(cat /mark)"
`;

/** A task's snapshot of a machine, as storage of plain directories makes it: disks that depend on the machine's. */
async function overlaid(directory: string, script: string): Promise<StartOptions> {
  const options = await guestOptions(directory, script);
  const bootstrapped = join(directory, "bootstrapped");
  await rename(options.directory, bootstrapped);
  await new DirectoryStorage(silentLog()).overlay(bootstrapped, options.directory);
  return options;
}

/** Lines of /proc/PID/status by their names. */
function statusOf(pid: number): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, "utf8").trim().split("\n");
  return Object.fromEntries(lines.map((line) => line.split(/:\s*/, 2) as [string, string]));
}

async function ownersIn(directory: string): Promise<Set<number>> {
  const paths = [directory, ...(await readdir(directory)).map((name) => join(directory, name))];
  return new Set(paths.map((path) => statSync(path).uid));
}

test(
  "QEMU has a user of its own without groups and rights, and no file is given to it",
  { skip },
  async () => {
    await using directory = await temporaryDirectory("croft-test-user-");
    const options = await overlaid(directory.path, writesItsDisk);
    for (const name of ["kernel", "initrd"]) await chmod(join(directory.path, "bootstrapped", name), 0o600);
    await using machine = await startVirtualMachine(options);
    const { Uid, Gid, Groups, CapPrm, CapEff, CapAmb, NoNewPrivs } = statusOf(machine.pid);
    const all = Array(4).fill(guestUser.id).join("\t");
    assert.deepEqual([Uid, Gid, Groups!.trim(), NoNewPrivs], [all, all, "", "1"]);
    for (const set of [CapPrm, CapEff, CapAmb]) assert.match(set!, /^0+$/);
    assert.deepEqual(await ownersIn(options.directory), new Set([0]));
    assert.equal((await machine.wait(patienceSeconds))?.how, "shutdown");
    assert.match(readFileSync(machine.consoleFile, "utf8"), /disk: written/);
  },
);

test("a machine with options of its own has its snapshot for as long as it runs", { skip }, async () => {
  await using directory = await temporaryDirectory("croft-test-user-");
  const options = await overlaid(directory.path, writesItsDisk);
  const disk = (name: string) => ["-drive", `file=${name},if=virtio,format=qcow2,cache=unsafe`];
  options.machine.options = [...disk("disk.qcow2"), ...disk("disk2.qcow2")];
  const backing = async () =>
    (await run(["qemu-img", "info", "-U", "disk.qcow2"], { timeoutSeconds: 60, cwd: options.directory }))
      .stdout;
  const before = await backing();
  await using machine = await startVirtualMachine(options);
  assert.equal((await machine.wait(patienceSeconds))?.how, "shutdown");
  assert.match(readFileSync(machine.consoleFile, "utf8"), /disk: written/);
  assert.deepEqual(await ownersIn(options.directory), new Set([0]));
  assert.deepEqual(await ownersIn(join(directory.path, "bootstrapped")), new Set([0]));
  const pattern = /^backing file: .*/gm;
  assert.deepEqual((await backing()).match(pattern), before.match(pattern));
});

test("what lies elsewhere is opened with the rights of QEMU's user", { skip }, async () => {
  await using directory = await temporaryDirectory("croft-test-user-");
  const options = await overlaid(directory.path, "");
  const secret = join(directory.path, "secret");
  await mkdir(join(secret, "m"), { recursive: true });
  await rename(join(directory.path, "bootstrapped", "disk.qcow2"), join(secret, "m", "disk.qcow2"));
  const backing = join(secret, "m", "disk.qcow2");
  const argv = ["qemu-img", "rebase", "-q", "-u", "-F", "qcow2", "-b", backing, "disk.qcow2"];
  await run(argv, { timeoutSeconds: 60, cwd: options.directory });
  await assert.rejects(startVirtualMachine(options), /secret.*Permission denied/);
});

test("with no more than the service's capabilities, QEMU dies with its parent", { skip }, async () => {
  await using directory = await temporaryDirectory("croft-test-user-");
  const { log: _log, ...plain } = await guestOptions(directory.path, "sleep 1000");
  const start = join(import.meta.dirname, "../../../machines/qemu/start.ts");
  const log = join(import.meta.dirname, "../../../os/log.ts");
  const code = `
    const { startVirtualMachine } = await import(${JSON.stringify(start)});
    const { silentLog } = await import(${JSON.stringify(log)});
    const machine = await startVirtualMachine({ ...${JSON.stringify(plain)}, log: silentLog() });
    process.stdout.write(machine.pid + "\\n");
  `;
  const unit = readFileSync(join(import.meta.dirname, "../../../systemd/croft-agent@.service"), "utf8");
  const capabilities = /^CapabilityBoundingSet=(.*)$/m
    .exec(unit)![1]!
    .split(" ")
    .map((name) => name.replace("CAP_", "+").toLowerCase());
  const bounds = ["-all", ...capabilities].join(",");
  const argv = [`--bounding-set=${bounds}`, `--inh-caps=${bounds}`, "--", process.execPath];
  const parent = spawn("setpriv", [...argv, "--input-type=module", "-e", code], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [said] = (await once(parent.stdout, "data")) as [Buffer];
  const pid = Number(said);
  assert.equal(statusOf(pid)["Uid"]?.split("\t")[0], String(guestUser.id));
  parent.kill("SIGKILL");
  const deadline = performance.now() + patienceSeconds * 1000;
  while (isRunning(pid)) {
    assert.ok(performance.now() < deadline, `QEMU ${pid} lives on`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

test("without a number there is no user, and one that is not here is an obstacle", { skip }, () => {
  assert.deepEqual(lookForUser(0, "tcg"), { user: undefined });
  assert.deepEqual(lookForUser(70_001, "tcg"), { user: { id: 70_001 } });
  assert.ok("obstacle" in lookForUser(2 ** 32 - 1, "tcg"));
});

test("who may open /dev/kvm by its group gets that group, and never root's", async () => {
  await using directory = await temporaryDirectory("croft-test-user-");
  const path = join(directory.path, "kvm");
  assert.deepEqual(groupOfKvm(path), { group: undefined });
  await run(["touch", path], { timeoutSeconds: 60 });
  const as = async (group: number, mode: number) => {
    if (group !== 0) await run(["chgrp", String(group), path], { timeoutSeconds: 60 });
    await chmod(path, mode);
    return groupOfKvm(path);
  };
  assert.deepEqual(await as(0, 0o666), { group: undefined });
  if (skip) return;
  assert.ok("obstacle" in (await as(0, 0o660)));
  assert.deepEqual(await as(106, 0o660), { group: 106 });
  assert.ok("obstacle" in (await as(106, 0o640)));
  assert.ok(existsSync(path));
});
