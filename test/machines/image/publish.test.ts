import assert from "node:assert/strict";
import { existsSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Failure } from "../../../os/failure.ts";
import { parseBootstrappedMachine } from "../../../manifests/bootstrapped-machine.ts";
import { currentRevision, manifestPath, revisionPath } from "../../../machines/layout.ts";
import { readBootstrappedManifest } from "../../../machines/manifest-files.ts";
import { publishBootstrapped } from "../../../machines/enumeration/pending-bootstrap.ts";
import {
  listRevisions,
  newRevisionPath,
  nextRevision,
  publishRevision,
  switchLink,
} from "../../../machines/revisions.ts";
import type { Storage } from "../../../machines/storage.ts";
import { machineManifest, makeFarm } from "../farm.ts";

const mac = "02:00:00:00:00:02";

test("the snapshot is complete before the obsolete machine is removed, and a failure leaves that in place", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  await farm.publish("a");
  const paths = farm.paths("a");
  await farm.enumerate(async (found) => {
    await using pending = found.takePending();
    const storage: Storage = {
      ...farm.storage,
      kind: "directory",
      remove: async (path) => {
        assert.equal(path, paths.bootstrapped);
        const written = parseBootstrappedMachine(readFileSync(manifestPath(pending.snapshot.path)));
        assert.equal(written.machine.id, "a-1.2");
        assert.equal(written.machine.mac, mac);
        throw new Failure(`remove '${path}'`, "input/output error");
      },
    };
    const manifest = {
      machine: { ...pending.manifest, mac },
      toolchain: { id: "toolchain-1" },
      bootstrap: { versions: {} },
    };
    await assert.rejects(publishBootstrapped(storage, pending, manifest), /input\/output error/);
  });
  assert.equal(readBootstrappedManifest(paths)?.machine.id, "a-1.1");
  assert.deepEqual(await farm.names("a"), ["a-1", "a-1.1", "a-1.2", "a-gcc", "a-gcc.lock"]);
  assert.equal(await farm.bootstrap(), "a");
  assert.equal(readBootstrappedManifest(paths)?.machine.id, "a-1.2");
  assert.equal(statSync(manifestPath(paths.bootstrapped)).mode & 0o777, 0o644);
});

test("publishing a bootstrap of a machine that was removed meanwhile fails, and makes nothing anew", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.enumerate(async (found) => {
    await using pending = found.takePending();
    await farm.storage.remove(farm.paths("a").directory);
    await assert.rejects(
      publishBootstrapped(farm.storage, pending, {
        machine: { ...pending.manifest, mac },
        toolchain: { id: "x" },
        bootstrap: { versions: {} },
      }),
      Failure,
    );
  });
  assert.deepEqual(await readdir(join(farm.directory, "v")), []);
  assert.deepEqual(farm.records("error"), [], "nothing was left that could have been removed");
});

test("revisions get the next free number, above all that there are", async () => {
  await using farm = await makeFarm();
  const paths = farm.paths("a");
  assert.equal(nextRevision(paths), 1);
  assert.equal(await farm.publish("a"), 1);
  assert.equal(await farm.publish("a"), 2);
  await mkdir(revisionPath(paths, 9));
  await mkdir(join(paths.directory, "a-1.010"));
  assert.equal(nextRevision(paths), 10);
  assert.equal(await farm.publish("a"), 10);
  assert.deepEqual(listRevisions(paths), [1, 2, 9, 10]);
  assert.equal(readlinkSync(paths.current), "a-1.10");
});

test("revisions published at the same time get different numbers", async () => {
  await using farm = await makeFarm();
  const paths = farm.paths("a");
  const temporaries = [];
  for (let index = 0; index < 5; index++) {
    const path = await newRevisionPath(paths);
    await farm.storage.createSubvolume(path);
    writeFileSync(manifestPath(path), machineManifest("a", `a-${index}`));
    temporaries.push(path);
  }
  const numbers = await Promise.all(temporaries.map((path) => publishRevision(farm.storage, paths, path)));
  assert.deepEqual(numbers.sort(), [1, 2, 3, 4, 5]);
  assert.ok(existsSync(currentRevision(paths)!));
});

test("a revision without a manifest is not published, and nothing of it is left", async () => {
  await using farm = await makeFarm();
  const paths = farm.paths("a");
  const path = await newRevisionPath(paths);
  await farm.storage.createSubvolume(path);
  await assert.rejects(publishRevision(farm.storage, paths, path), /it has no manifest/);
  assert.deepEqual(await farm.names("a"), []);
});

test("switching the link replaces one that is there, and fails if something else is", async () => {
  await using farm = await makeFarm();
  const paths = farm.paths("a");
  await mkdir(paths.directory, { recursive: true });
  symlinkSync("/elsewhere", paths.current);
  await switchLink(paths, 3);
  assert.equal(currentRevision(paths), revisionPath(paths, 3));
  const other = farm.paths("b");
  await mkdir(other.current, { recursive: true });
  await assert.rejects(switchLink(other, 1), Failure);
  assert.deepEqual(await farm.names("b"), ["b-1"]);
});
