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

test("a QEMU that goes on after its guest's kernel has panicked is killed", async () => {
  await using directory = await temporaryDirectory("croft-test-panic-");
  // Stands for a QEMU that hangs: what it does is not asked for.
  const child = spawn("sleep", ["600"], { stdio: ["ignore", "pipe", "pipe"] });
  const consoleFile = new BoundedFile(join(directory.path, "console.log"), 4096);
  using files = new InheritedFiles(5);
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
  machine.observe({ event: "GUEST_PANICKED" });
  const end = await machine.wait(60);
  child.kill("SIGKILL");
  assert.equal(end?.how, "panic");
  await machine[Symbol.asyncDispose]();
});
