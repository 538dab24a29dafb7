import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, openSync, readFileSync, statSync } from "node:fs";
import { mkdir, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Failure } from "../../../os/failure.ts";
import { run } from "../../../os/run.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { controlVirtualMachine, killStaleVirtualMachines } from "../../../machines/qemu/runtime-files.ts";
import { startVirtualMachine } from "../../../machines/qemu/start.ts";
import { isRunning } from "../../fixtures/processes.ts";
import { guestOptions, startGuest } from "./qemu-guest.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";

const pidOf = (runtimeDirectory: string) =>
  Number(readFileSync(join(runtimeDirectory, "qemu.pid"), "utf8").trim());

async function untilEnded(pid: number, timeoutSeconds = patienceSeconds): Promise<void> {
  const deadline = performance.now() + timeoutSeconds * 1000;
  while (isRunning(pid)) {
    assert.ok(performance.now() < deadline, `process ${pid} has not ended`);
    await delay(20);
  }
}

test("a guest finds its devices; powering off is a shutdown that leaves no file but the console, bounded, with head and tail", async () => {
  const script = `
    i=0; while [ $i -lt 4000 ]; do i=$((i + 1)); echo "line $i of far too many lines, and then some"; done
    read -r address < /sys/firmware/qemu_fw_cfg/by_name/opt/croft/tftp/raw
    echo "tftp=[$(cat /sys/firmware/qemu_fw_cfg/by_name/opt/croft/tftp/raw)]" > $log
    echo "mac=$(cat /sys/class/net/eth0/address)" > $log
    echo "random=$(cat /sys/class/misc/hw_random/rng_current)" > $log
    echo "kib=$(sed -n 's/^MemTotal: *//p' /proc/meminfo)" > $log
    echo "acpi=$(ls /sys/bus/acpi/devices | grep -c -e QEMU0001 -e QEMUVGID -e VMGENCTR)" > $log
    echo "hello, console"
  `;
  const guest = await startGuest(script, { consoleMaxBytes: 32768 });
  {
    await using _ = guest;
    assert.deepEqual(await guest.machine.wait(patienceSeconds), {
      how: "shutdown",
      detail: "the guest powered off",
    });
    assert.match(guest.log(), /^tftp=\[10\.0\.2\.2:23999 {50}\]$/m);
    assert.match(guest.log(), /^mac=52:54:00:0a:0b:0c$/m);
    assert.match(guest.log(), /^random=virtio_rng/m);
    assert.match(guest.log(), /^kib=2\d{5} kB$/m);
    assert.match(guest.log(), /^acpi=2$/m);
    const console = readFileSync(guest.machine.consoleFile, "utf8");
    assert.ok(statSync(guest.machine.consoleFile).size <= 32768);
    assert.match(console, /^line 1 of/m);
    assert.match(console, /^\[croft: \d+ bytes left out\]$/m);
    assert.match(console, /hello, console\r?\nthe script has ended/);
    assert.equal(await guest.machine.shutdown(0), true, "ended already");
    await guest.machine.forceDown();
    await guest.machine.suspend();
    await guest.machine[Symbol.asyncDispose]();
    assert.deepEqual(await readdir(guest.runtimeDirectory), ["console.log"]);
    assert.equal((await guest.machine.ended).how, "shutdown", "what comes later changes nothing");
  }
});

test("waiting can be aborted, and the machine goes on; the power button shuts down one that listens to it, and only that; a QEMU that is killed from outside has exited, with the signal told", async () => {
  await using deaf = await startGuest("rmmod button; echo ready > $log; sleep 1000");
  const controller = new AbortController();
  const waiting = deaf.machine.wait(patienceSeconds, controller.signal);
  controller.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
  await using guest = await startGuest(`
    mkdir -p /etc/acpi/PWRF
    printf '#!/bin/sh\\npoweroff -f\\n' > /etc/acpi/PWRF/00000080
    chmod 755 /etc/acpi/PWRF/00000080
    acpid -f & echo ready > $log
    sleep 1000
  `);
  await guest.untilLogged("ready");
  await deaf.untilLogged("ready");
  assert.equal(await guest.machine.wait(0.1), undefined);
  assert.equal(await guest.machine.shutdown(patienceSeconds), true);
  assert.equal((await guest.machine.ended).how, "shutdown");
  assert.equal(await deaf.machine.shutdown(1), false);
  process.kill(pidOf(deaf.runtimeDirectory), "SIGKILL");
  assert.deepEqual(await deaf.machine.wait(patienceSeconds), {
    how: "exited",
    detail: "QEMU ended by SIGKILL",
  });
});

test("a kernel panic ends the wait at once, as a panic", async () => {
  await using guest = await startGuest("echo ready > $log; sleep 1; echo c > /proc/sysrq-trigger");
  assert.deepEqual(await guest.machine.wait(patienceSeconds), {
    how: "panic",
    detail: "the guest's kernel panicked",
  });
});

test("a first process that ends is a panic too", async () => {
  await using guest = await startGuest("exit 1");
  assert.equal((await guest.machine.wait(patienceSeconds))?.how, "panic");
});

test("a guest that writes more than the host has room for is ended, and told so", async () => {
  await using directory = await temporaryDirectory("croft-test-room-");
  await run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", directory.path], { timeoutSeconds: 300 });
  await using undo = new AsyncDisposableStack();
  undo.defer(async () => void (await run(["umount", "-l", directory.path], { timeoutSeconds: 300 })));
  const options = await guestOptions(directory.path, "dd if=/dev/zero of=/dev/vdc bs=1M count=200; sync\n");
  const disk = join(options.directory, "disk3.img");
  await writeFile(disk, "");
  await truncate(disk, 256 * 1024 ** 2);
  await using machine = await startVirtualMachine(options);
  assert.equal((await machine.wait(patienceSeconds))?.how, "room");
});

test("a suspended guest stands still until an operator resumes it, and ends when one kills it", async () => {
  await using guest = await startGuest("while :; do echo tick > $log; sleep 0.1; done");
  await guest.untilLogged("tick");
  await guest.machine.suspend();
  const deadline = performance.now() + patienceSeconds * 1000;
  // What was under way arrives, late on a busy host.
  for (let before = -1; before !== guest.log().length; await delay(500)) {
    assert.ok(performance.now() < deadline, "it goes on");
    before = guest.log().length;
  }
  const resumed = guest.machine.resumedOrEnded();
  await controlVirtualMachine(guest.runtimeDirectory, "resume");
  assert.equal(await resumed, "resumed");
  await guest.machine.suspend();
  const ended = guest.machine.resumedOrEnded();
  await controlVirtualMachine(guest.runtimeDirectory, "kill");
  assert.equal(await ended, "ended");
  assert.equal((await guest.machine.ended).how, "exited");
  await assert.rejects(controlVirtualMachine(guest.runtimeDirectory, "kill"), Failure);
});

test("a guest that floods its log port is held back", async () => {
  let bytes = 0;
  const begun = Promise.withResolvers<number>();
  const onLog = (chunk: Buffer) => {
    bytes += chunk.length;
    begun.resolve(performance.now());
  };
  await using guest = await startGuest("cat /dev/zero > $log", { onLog });
  const begin = await begun.promise;
  await delay(2000);
  const seconds = (performance.now() - begin) / 1000;
  // One second's worth may come at once; what is on its way comes on top.
  assert.ok(bytes < (seconds + 1) * 4 * 1024 * 1024 + 1024 * 1024, `${bytes} bytes in ${seconds} s`);
  await guest.machine.forceDown();
  assert.deepEqual(await guest.machine.ended, { how: "forced", detail: "forced down" });
});

test("QEMU does not outlive a parent that is killed, and files left behind are cleared", async () => {
  await using directory = await temporaryDirectory("croft-test-qemu-");
  const options = await guestOptions(directory.path, "sleep 1000");
  const { log: _log, ...plain } = options;
  const code = `
    const { startVirtualMachine } = await import(${JSON.stringify(join(import.meta.dirname, "../../../machines/qemu/start.ts"))});
    const { silentLog } = await import(${JSON.stringify(join(import.meta.dirname, "../../../os/log.ts"))});
    await startVirtualMachine({ ...${JSON.stringify(plain)}, log: silentLog() });
    process.stdout.write("started\\n");
  `;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", code], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(parent.stdout, "data");
  const pid = pidOf(options.runtimeDirectory);
  assert.ok(isRunning(pid));
  parent.kill("SIGKILL");
  await untilEnded(pid);
  assert.ok(existsSync(join(options.runtimeDirectory, "qemu.pid")));
  assert.equal(await killStaleVirtualMachines(options.runtimeDirectory), undefined);
  assert.deepEqual(await readdir(options.runtimeDirectory), ["console.log"]);
});

test("a QEMU left behind is ended, another process of the same pid is not", async () => {
  await using directory = await temporaryDirectory("croft-test-qemu-");
  const pidFile = join(directory.path, "qemu.pid");
  await writeFile(pidFile, `${process.pid}\n`);
  assert.equal(await killStaleVirtualMachines(directory.path), undefined);
  assert.ok(!existsSync(pidFile));
  const args = ["-machine", "none", "-display", "none", "-nodefaults", "-pidfile", pidFile];
  args.push("-add-fd", `fd=3,set=0,opaque=${directory.path}`);
  const orphan = spawn("qemu-system-x86_64", args, {
    stdio: ["ignore", "ignore", "inherit", openSync("/dev/null", "r")],
  });
  const exit = once(orphan, "exit");
  while (!existsSync(pidFile)) await delay(20);
  while (readFileSync(pidFile, "utf8") === "") await delay(20);
  assert.equal(await killStaleVirtualMachines(directory.path), orphan.pid);
  assert.deepEqual(await exit, [null, "SIGKILL"]);
});

test("what QEMU refuses is told in its own words, and nothing is left", async (t) => {
  await using directory = await temporaryDirectory("croft-test-qemu-");
  const options = await guestOptions(directory.path, "sleep 1000");
  const machine = options.machine;
  await t.test("no such program", async () => {
    await assert.rejects(startVirtualMachine({ ...options, qemu: "/nowhere/qemu" }), (error: Failure) => {
      assert.ok(error instanceof Failure);
      assert.match(error.message, /^Cannot start machine 'test,guest': .*\/nowhere\/qemu.*No such file/);
      assert.equal(error.hints.length, 1);
      return true;
    });
  });
  await t.test("no program to start it with", async () => {
    const path = process.env["PATH"];
    process.env["PATH"] = "/nowhere";
    try {
      await assert.rejects(startVirtualMachine(options), /QEMU did not start: no such file or directory/);
    } finally {
      process.env["PATH"] = path;
    }
  });
  await t.test("an option", async () => {
    await assert.rejects(
      startVirtualMachine({ ...options, machine: { ...machine, options: ["-device", "no-such-device"] } }),
      /no-such-device.*is not a valid device model/,
    );
  });
  await t.test("a port in use", async () => {
    const forward = "user,id=n,hostfwd=tcp:127.0.0.1:1-:1,hostfwd=tcp:127.0.0.1:1-:1";
    await assert.rejects(
      startVirtualMachine({ ...options, machine: { ...machine, options: ["-netdev", forward] } }),
      /Could not set up host forwarding rule/,
    );
  });
  await t.test("a disk that another machine has open", async () => {
    await using first = await startVirtualMachine(options);
    const other = join(directory.path, "other");
    await mkdir(other);
    await assert.rejects(
      startVirtualMachine({ ...options, runtimeDirectory: other }),
      /Failed to get "write" lock/,
    );
    assert.equal(await first.wait(0), undefined);
  });
  await t.test("no disk", async () => {
    const empty = join(directory.path, "empty");
    await mkdir(empty);
    await assert.rejects(startVirtualMachine({ ...options, directory: empty }), /holds no disk/);
  });
  await t.test("aborted", async () => {
    for (const milliseconds of [0, 5]) {
      const controller = new AbortController();
      const abort = () => controller.abort(new Error("changed my mind"));
      const starting = startVirtualMachine({ ...options, signal: controller.signal });
      if (milliseconds === 0) abort();
      else setTimeout(abort, milliseconds);
      await assert.rejects(
        starting.then((machine) => machine[Symbol.asyncDispose]()),
        /changed my mind/,
      );
    }
  });
  assert.deepEqual(await readdir(options.runtimeDirectory), ["console.log"]);
  await rm(options.runtimeDirectory, { recursive: true });
  await assert.rejects(startVirtualMachine(options), /Cannot write console file/);
});
