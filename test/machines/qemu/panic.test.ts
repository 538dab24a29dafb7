import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { BoundedFile } from "../../../machines/qemu/bounded-file.ts";
import { InheritedFiles } from "../../../machines/qemu/inherited-files.ts";
import { QemuMachine } from "../../../machines/qemu/machine.ts";
import { SocketDirectory } from "../../../machines/qemu/socket-directory.ts";
import { parseMachine } from "../../../manifests/machine.ts";
import { silentLog } from "../../../os/log.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";

/** A machine whose QEMU hangs. */
async function hanging() {
  const stack = new AsyncDisposableStack();
  const directory = stack.use(await temporaryDirectory("croft-test-panic-"));
  // Stands for a QEMU that hangs: what it does is not asked for.
  const child = spawn("sleep", ["600"], { stdio: ["ignore", "pipe", "pipe"] });
  const consoleFile = new BoundedFile(join(directory.path, "console.log"), 4096);
  const files = stack.use(new InheritedFiles(5));
  const machine = new QemuMachine({
    options: {
      name: "m",
      machine: parseMachine(Buffer.from(": 1\nid: m-1\nname: m\nsummary: A machine\ntype: kvm\n")),
      mac: "02:00:00:00:00:01",
      directory: directory.path,
      runtimeDirectory: directory.path,
      network: { kind: "user", tftpPort: 0 },
      cpus: 1,
      ramKiB: 65536,
      accel: "auto",
      log: silentLog(),
    },
    child,
    consoleFile,
    sockets: await SocketDirectory.make(directory.path, undefined, files),
    takeBack: () => Promise.resolve(),
    complaint: () => "",
  });
  stack.use(machine);
  stack.defer(() => void child.kill("SIGKILL"));
  return Object.assign(stack, { machine });
}

test("a QEMU that goes on after its guest's kernel has panicked is killed", async () => {
  await using on = await hanging();
  on.machine.observe({ event: "GUEST_PANICKED" });
  assert.equal((await on.machine.wait(patienceSeconds))?.how, "panic");
});

test("a QEMU that has stopped its guest for want of room on the host is killed; one that told the guest is not", async () => {
  await using on = await hanging();
  const error = { device: "disk0", operation: "write", nospace: true, reason: "No space left on device" };
  on.machine.observe({ event: "BLOCK_IO_ERROR", data: { ...error, action: "report" } });
  assert.equal(await on.machine.wait(0.2), undefined);
  on.machine.observe({ event: "BLOCK_IO_ERROR", data: { ...error, action: "stop" } });
  on.machine.observe({ event: "STOP" });
  assert.equal((await on.machine.wait(patienceSeconds))?.how, "room");
});
