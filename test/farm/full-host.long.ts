/** A host whose runtime directory, and then the metadata of whose machines' btrfs, is full while an agent runs */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import { startFarm, type Farm } from "../fixtures/farm.ts";
import { btrfsFileSystem } from "../fixtures/machines/btrfs.ts";
import { fillMetadata } from "../fixtures/machines/full-btrfs.ts";
import { patienceSeconds } from "../fixtures/patience.ts";
import { packSource, script } from "../worker/sources.ts";
import { until } from "../controller/until.ts";

const croft = async (...args: string[]) => {
  const argv = [process.execPath, packageFile("bin", "main.ts"), ...args];
  const { stdout, stderr, status } = await run(argv, { timeoutSeconds: patienceSeconds, accept: [1] });
  return { status, said: stdout + stderr };
};

/** A file system of 8 MiB as the agents' runtime directory. */
async function mountRuntime({ runtime }: Farm): Promise<AsyncDisposable> {
  mkdirSync(runtime);
  await run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "tmpfs", runtime], { timeoutSeconds: 60 });
  return {
    [Symbol.asyncDispose]: async () => void (await run(["umount", "-l", runtime], { timeoutSeconds: 60 })),
  };
}

/** Waits until the agent has said something since it had said so much. */
async function said(farm: Farm, words: RegExp, from: number): Promise<void> {
  const lines = () => readFileSync(farm.agentLog, "utf8").slice(from);
  await until(async () => words.test(lines()), `${words}`);
}

test("nothing is lost and no build is used up while a host is full, and it goes on when there is room", async () => {
  await using volume = await btrfsFileSystem({ sizeMiB: 160, format: ["--metadata", "single"] });
  const machines = join(volume.path, "machines");
  await using farm = await startFarm({ machine: "minimal", from: "copied", ramKiB: 256 * 1024, machines });
  await using _runtime = await mountRuntime(farm);
  const waits = script("echo begun", `until wget -q -O /dev/null ${farm.guestUrl("/go")}; do sleep 1; done`);
  await packSource(farm.sources, { ".croft/update": waits });
  const heard = () => readFileSync(farm.agentLog, "utf8").length;

  // During a build: it ends as it would have. Afterwards nobody is asked.
  const first = await farm.submit({ name: "hello" });
  await farm.startAgent();
  await farm.logUntil(first, patienceSeconds, /begun/);
  const ballast = join(farm.runtime, "ballast");
  await run(["dd", "if=/dev/zero", `of=${ballast}`, "bs=4k"], { timeoutSeconds: 60, accept: [1] });
  writeFileSync(join(farm.sources.directory, "go"), "");
  const ended = await farm.ended(first);
  assert.equal(ended.status, "success", await farm.agentTail());
  await said(farm, /Cannot build with '\S+run\S*': only .* free there, .* needed/, 0);
  const second = await farm.submit({ name: "hello" });

  const other = join(machines, "volume", "other");
  mkdirSync(join(other, "other-1.1"), { recursive: true });
  await fillMetadata(join(other, "other-1.1"));
  const before = heard();
  rmSync(ballast);
  await said(farm, /Cannot build with '\S+volume': (no file can be made there|only .* free there)/, before);
  const place = ["--machines", machines];
  const list = await croft("machine", "list", ...place);
  assert.match(list.said, /^minimal .* yes /m);
  const create = await croft("machine", "create", "new", "--minimal", ...place);
  assert.deepEqual(
    [create.status, /^croft: Cannot .*: no space left on device$/m.test(create.said)],
    [1, true],
    create.said,
  );
  const again = await croft("machine", "create", "minimal", "--minimal", ...place);
  assert.match(again.said, /^croft: Cannot .*: no space left on device$/im);
  const entries = await readdir(join(machines, "volume", "minimal"));
  assert.deepEqual(
    entries.filter((name) => name.startsWith(".")),
    [],
  );
  const doctor = await croft("doctor", ...place, "--spool", farm.spool, "--runtime", farm.runtime);
  assert.match(doctor.said, /^problem +btrfs metadata: .* it is full\. Fix: Remove what is not needed/m);
  assert.match(doctor.said, /^problem +snapshots: .*no space left on device\. Fix: Make room/m);
  const { state, attempts } = await farm.view(second);
  assert.deepEqual([state, attempts], ["queued", []]);

  const remove = await croft("machine", "remove", "other", ...place);
  assert.equal(remove.status, 0, remove.said);
  const view = await farm.ended(second);
  assert.equal(view.status, "success", await farm.agentTail());
  assert.equal((view.attempts as unknown[]).length, 1);
});
