import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { MachineChanged, snapshotMaker } from "../../../agent/performing/task-snapshot.ts";
import { manifestPath } from "../../../machines/layout.ts";
import { readBootstrappedManifest } from "../../../machines/manifest-files.ts";
import type { Storage } from "../../../machines/storage.ts";
import { makeFarm } from "../../machines/farm.ts";

/** Makes a snapshot of a bootstrapped machine for a task; `meanwhile` is called before each that is made. */
async function snapshotFor(meanwhile: (bootstrapped: string, made: number) => Promise<void> | void) {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  const paths = farm.paths("a");
  const bootstrapped = readBootstrappedManifest(paths)!;
  let made = 0;
  const { storage } = farm;
  const watched: Storage = {
    kind: storage.kind,
    createSubvolume: (path) => storage.createSubvolume(path),
    clone: (from, to, signal) => storage.clone(from, to, signal),
    remove: (path, options) => storage.remove(path, options),
    overlay: async (from, to, signal, disks) => {
      await meanwhile(paths.bootstrapped, ++made);
      await storage.overlay(from, to, signal, disks);
    },
  };
  const stack = new AsyncDisposableStack();
  const { signal } = new AbortController();
  const make = snapshotMaker(
    { settings: { instance: 1 }, storage: watched, phases: { time: () => new DisposableStack() } },
    { machine: { paths, bootstrapped }, log: farm.log, interruption: { signal } },
    stack,
  );
  let failure: unknown;
  const manifest = await make().then(
    (path) => readFileSync(manifestPath(path), "utf8"),
    (error: unknown) => void (failure = error),
  );
  await stack.disposeAsync();
  const left = (await farm.names("a")).filter((name) => /-1-[a-z0-9]{6}$/.test(name));
  assert.deepEqual(left, [], "no snapshot is left");
  return { made, manifest, failure };
}

/** As somebody does who knows the machine's first lock alone. */
function replace(bootstrapped: string): void {
  const file = manifestPath(bootstrapped);
  const text = readFileSync(file, "utf8").replaceAll("a-1.1", "a-1.2");
  writeFileSync(file, text);
}

test("a task gets a snapshot of the machine that was offered", async () => {
  const { made, manifest, failure } = await snapshotFor(() => {});
  assert.deepEqual([made, failure], [1, undefined]);
  assert.match(manifest!, /^id: a-1\.1$/m);
});

test("a machine that was replaced while a task on one of its copies began is looked at once more, and not used", async () => {
  const { made, failure } = await snapshotFor((bootstrapped, count) => {
    if (count === 1) replace(bootstrapped);
  });
  assert.equal(made, 2);
  assert.ok(failure instanceof MachineChanged, String(failure));
});

test("a machine that has gone is not used, and it is no fault of the host", async () => {
  const { made, failure } = await snapshotFor(async (bootstrapped, count) => {
    if (count === 1) await rename(bootstrapped, join(bootstrapped, "..", ".away"));
  });
  assert.equal(made, 2);
  assert.ok(failure instanceof MachineChanged, String(failure));
});

test("what keeps a snapshot of the right machine from being made is a fault of the host", async () => {
  const { made, failure } = await snapshotFor(async () => {
    const { Failure } = await import("../../../os/failure.ts");
    throw new Failure("make a snapshot", "no space left");
  });
  assert.equal(made, 1);
  assert.ok(failure instanceof Error && !(failure instanceof MachineChanged));
  assert.match(failure.message, /no space left/);
});
