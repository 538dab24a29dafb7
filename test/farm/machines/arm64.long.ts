/** A C project of somebody else's with its own test suite, built by an agent in a machine for arm64, emulated if need be */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "node:test";
import { createMachine } from "../../../machines/image/create-machine.ts";
import { openStorage } from "../../../machines/open-storage.ts";
import { qemuFor } from "../../../machines/qemu/architecture.ts";
import { packageFile } from "../../../os/files/package.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { silentLog } from "../../../os/log.ts";
import { upstreamArchive } from "../../fixtures/debian-source.ts";
import { startFarm } from "../../fixtures/farm.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";

const qemu = qemuFor("aarch64");
const skip = spawnSync(qemu, ["--version"]).status !== 0 && `needs ${qemu}`;

test("it is configured, compiled, and passes its tests, for arm64", { skip }, async (context) => {
  await using directory = await temporaryDirectory("croft-test-arm64-");
  const archive = await upstreamArchive("ed");
  const revision = await createMachine({
    ...{ name: "minimal", machines: directory.path, onStep: () => {} },
    init: packageFile("worker", "guest", "croft-init"),
    recipe: {
      ...{ kind: "minimal", release: "bookworm", architecture: "arm64", diskGiB: 1 },
      // busybox has no `install`, which `make install` of most projects calls.
      ...{ include: ["coreutils", "gcc", "libc6-dev", "make"], summary: "gcc for arm64" },
    },
    storage: await openStorage(directory.path, "directory", silentLog()),
  });
  await using farm = await startFarm({
    ...{ machine: "minimal", revision: revision!, ramKiB: 512 * 1024, cpus: 2 },
    agent: ["--startup-timeout", String(2 * patienceSeconds)],
  });
  await farm.startAgent();
  await copyFile(archive, join(farm.sources.directory, basename(archive)));
  const began = performance.now();
  const id = await farm.submit({ name: "ed", repository: farm.guestUrl(`/${basename(archive)}`) });
  const view = await farm.ended(id, 5 * patienceSeconds);
  const log = await farm.log(id);
  const statuses = view.operations.map(({ name, status }) => `${name} ${status}`).join(", ");
  context.diagnostic(`${statuses}; ${Math.round((performance.now() - began) / 1000)} s with bootstrap`);
  assert.ok(["success", "warning"].includes(view.status!), `${log.slice(-3000)}\n${await farm.agentTail()}`);
  assert.match(log, /tests completed successfully/);
  const [artifact] = view.artifacts;
  const content = Buffer.from(await (await fetch(artifact!.url)).arrayBuffer());
  assert.ok(content.length > 20_000, `${content.length}`);
});
