/** A cloud image of Debian's own packages (cloud-init, GRUB, systemd): imported, and built on */
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { packageFile } from "../../../os/files/package.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { run } from "../../../os/run.ts";
import { startFarm } from "../../fixtures/farm.ts";
import { packSource, script } from "../../worker/sources.ts";
import { makeCloudImage } from "./cloud-image.ts";

/** Booting systemd in emulation, on a busy host. */
const bootSeconds = 3000;

test("it becomes a machine by one boot, and a build in it finds systemd, the network, and what the user data brought", async () => {
  await using directory = await temporaryDirectory("croft-test-cloud-");
  const image = await makeCloudImage(directory.path);
  const machines = join(directory.path, "machines");
  await mkdir(machines);
  const userData = join(directory.path, "user-data");
  await writeFile(userData, "#!/bin/sh\necho brought > /etc/brought\n");
  const argv = [process.execPath, packageFile("bin", "main.ts"), "machine", "import", "minimal", image];
  const options = [
    "--machines",
    machines,
    "--user-data",
    userData,
    "--timeout",
    String(bootSeconds),
    "--disk-size",
    "3",
  ];
  const { stdout, stderr } = await run([...argv, ...options], { timeoutSeconds: 2 * bootSeconds });
  assert.match(stderr, /installing croft-init/);
  await using farm = await startFarm({
    ...{ machine: "minimal", revision: stdout.trim(), ramKiB: 768 * 1024, cpus: 2 },
    agent: ["--startup-timeout", String(bootSeconds)],
  });
  await farm.startAgent();
  const lines = [
    'echo "first process $(cat /proc/1/comm), $(cat /etc/brought), Debian $(cat /etc/debian_version)"',
    "systemctl is-active croft-init.service",
    "findmnt -n -o SIZE /",
  ];
  await packSource(farm.sources, { ".croft/test": script(...lines) }, "hello-1.0.tar.gz");
  const id = await farm.submit({ name: "hello" });
  const { status } = await farm.ended(id, 2 * bootSeconds);
  const log = await farm.log(id);
  assert.equal(status, "success", `${log}\n${await farm.agentTail()}`);
  assert.match(log, /^first process systemd, brought, Debian 12\.\d+$/m);
  assert.match(log, /^2\.[89]G$/m, "its file system has grown");
  assert.match(await readFile(farm.agentLog, "utf8"), /machine bootstrapped|bootstrapped/);
});
