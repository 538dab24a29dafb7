/** What stands under a machine's names after a power cut at whatever moment is whole. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { silentLog } from "../../os/log.ts";
import { currentRevision, machinePaths, manifestPath, revisionPath } from "../../machines/layout.ts";
import { readBootstrappedManifest, readMachineManifest } from "../../machines/manifest-files.ts";
import { openStorage } from "../../machines/open-storage.ts";
import { publishBootstrapped } from "../../machines/enumeration/pending-bootstrap.ts";
import { removeMachine, removeRevision } from "../../machines/remove.ts";
import { newRevisionPath, publishRevision } from "../../machines/revisions.ts";
import { removeStaleSnapshots } from "../../machines/stale.ts";
import { machineManifest, makeFarm, toolchain, type Farm } from "../machines/farm.ts";
import { forEachRemains, record } from "./recorder.ts";

const pathsIn = (directory: string) => machinePaths(directory, "v", "m", toolchain);

/** Publishes a revision with a disk of its own, as `croft machine create` does. */
async function publish(farm: Farm, id: string): Promise<void> {
  const paths = farm.paths("m");
  const path = await newRevisionPath(paths);
  await farm.storage.createSubvolume(path);
  writeFileSync(join(path, "disk.img"), diskOf(id));
  writeFileSync(manifestPath(path), machineManifest("m", id));
  await publishRevision(farm.storage, paths, path);
}

const diskOf = (id: string) => `disk of ${id}\n`.repeat(100);

/** The id of the machine's current revision, which is whole. */
function currentId(directory: string): string | undefined {
  const paths = pathsIn(directory);
  const path = currentRevision(paths);
  if (path === undefined) return undefined;
  const { id } = readMachineManifest(paths, path)!;
  assert.equal(readFileSync(join(path, "disk.img"), "utf8"), diskOf(id));
  return id;
}

test("a published revision is there whole and the current one; the link never leads to half a revision", async () => {
  await using farm = await makeFarm();
  const recording = await record(farm.directory, async (tell) => {
    await publish(farm, "one");
    tell("one");
    await publish(farm, "two");
    tell("two");
  });
  const count = await forEachRemains(recording, async (path, told) => {
    const id = currentId(path);
    if (told.has("two")) assert.equal(id, "two");
    else if (told.has("one")) assert.ok(id === "one" || id === "two", id);
  });
  assert.ok(count > 30, `${count} states`);
});

/** The id of the revision that the bootstrapped machine was made of; it is whole, with what its guest wrote. */
function bootstrappedId(directory: string): string | undefined {
  const paths = pathsIn(directory);
  const found = existsSync(paths.bootstrapped) ? readBootstrappedManifest(paths) : undefined;
  if (!found) return undefined;
  const { id } = found.machine;
  assert.equal(readFileSync(join(paths.bootstrapped, "disk.img"), "utf8"), `written by the guest: ${id}\n`);
  assert.equal(readFileSync(join(paths.bootstrapped, "extra"), "utf8"), diskOf(id));
  return id;
}

/** Has the pending machine's guest write to its disk, and publishes it. */
async function bootstrap(farm: Farm): Promise<void> {
  await farm.enumerate(async (found, lock) => {
    await using pending = found.takePending();
    pending.lock.write(lock);
    const { id } = pending.manifest;
    writeFileSync(join(pending.snapshot.path, "disk.img"), `written by the guest: ${id}\n`);
    writeFileSync(join(pending.snapshot.path, "extra"), diskOf(id));
    await publishBootstrapped(farm.storage, pending, {
      machine: { ...pending.manifest, mac: "02:00:00:00:00:01" },
      toolchain: { id: "toolchain-1" },
      bootstrap: { versions: { croft: "1.2.0" } },
    });
  });
}

test("a bootstrapped machine is there whole, with what its guest wrote, and an obsolete one whole or gone", async () => {
  await using farm = await makeFarm();
  await publish(farm, "one");
  const recording = await record(farm.directory, async (tell) => {
    await bootstrap(farm);
    tell("one");
    await publish(farm, "two");
    await bootstrap(farm);
    tell("two");
  });
  await forEachRemains(recording, async (path, told) => {
    const id = bootstrappedId(path);
    if (told.has("two")) assert.equal(id, "two");
    else if (id !== undefined) assert.match(id, /^(one|two)$/);
  });
});

test("a machine or revision that was removed is whole until it has lost its name, and the rest is cleared away", async () => {
  await using farm = await makeFarm();
  await publish(farm, "one");
  await publish(farm, "two");
  await bootstrap(farm);
  const recording = await record(farm.directory, async (tell) => {
    await removeRevision(farm.storage, farm.paths("m"), 1);
    tell("revision");
    await removeMachine(farm.storage, farm.paths("m"));
    tell("machine");
  });
  let looked = 0;
  await forEachRemains(recording, async (path, told) => {
    const paths = pathsIn(path);
    if (told.has("revision")) assert.ok(!existsSync(revisionPath(paths, 1)));
    if (told.has("machine")) assert.ok(!existsSync(paths.directory));
    const old = revisionPath(paths, 1);
    if (existsSync(old)) assert.equal(readFileSync(join(old, "disk.img"), "utf8"), diskOf("one"));
    if (existsSync(paths.directory))
      assert.deepEqual([currentId(path), bootstrappedId(path)], ["two", "two"]);
    if (looked++ % 20 !== 0) return; // each takes some processes
    const log = silentLog();
    const storage = await openStorage(path, "directory", log);
    await removeStaleSnapshots({ directory: path, toolchain, instance: 1, storage, log });
  });
});
