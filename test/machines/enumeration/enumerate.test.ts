import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, statSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Failure } from "../../../os/failure.ts";
import { BootstrapBackoff } from "../../../machines/enumeration/bootstrap-backoff.ts";
import type { Enumeration } from "../../../machines/enumeration/enumeration.ts";
import { currentRevision, manifestPath, revisionPath } from "../../../machines/layout.ts";
import { MachineLock, tryMachineLock } from "../../../machines/locks.ts";
import { removeStaleSnapshots } from "../../../machines/stale.ts";
import type { Storage } from "../../../machines/storage.ts";
import { machineManifest, makeFarm, toolchain, type Farm } from "../farm.ts";

/** What an enumeration found: `name` locked, `-name` held, `+name` to be bootstrapped. */
function summary(found: Enumeration): string {
  const machines = found.machines.map(({ state, paths }) => (state === "held" ? "-" : "") + paths.name);
  if (found.pending) machines.push(`+${found.pending.paths.name}`);
  return machines.join(" ");
}

const look = (farm: Farm, changes?: Parameters<Farm["context"]>[0]) => farm.enumerate(summary, changes);

/** Storage that does something to the machine just before it is cloned. */
function interfering(storage: Storage, before: (attempt: number) => Promise<void> | void): Storage {
  let attempt = 0;
  return {
    kind: storage.kind,
    createSubvolume: (path) => storage.createSubvolume(path),
    clone: async (from, to, signal) => {
      await before(++attempt);
      await storage.clone(from, to, signal);
    },
    overlay: (from, to, signal) => storage.overlay(from, to, signal),
    remove: (path, options) => storage.remove(path, options),
  };
}

test("machines are bootstrapped one after the other, and are then ready", async () => {
  await using farm = await makeFarm();
  await farm.publish("b");
  await farm.publish("a");
  assert.equal(await look(farm), "+a");
  assert.equal(await farm.bootstrap(), "a");
  assert.equal(await look(farm), "a +b");
  assert.equal(await farm.bootstrap(), "b");
  await farm.enumerate((found) => {
    assert.equal(summary(found), "a b");
    const [machine] = found.machines;
    assert.ok(machine?.state === "locked");
    assert.equal(machine.manifest.machine.id, "a-1.1");
    assert.equal(machine.manifest.machine.mac, "02:00:00:00:00:01");
    assert.deepEqual(machine.manifest.bootstrap.versions, { croft: "1.2.0", gcc: "12.2.0" });
  });
  assert.deepEqual(await farm.names("a"), ["a-1", "a-1.1", "a-gcc", "a-gcc.lock"]);
});

test("looking through machines that are ready makes, writes and removes nothing", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  const paths = farm.paths("a");
  const times = () =>
    [paths.directory, paths.lock, paths.bootstrapped, manifestPath(paths.bootstrapped)].map(
      (path) => statSync(path, { bigint: true }).ctimeNs,
    );
  const before = times();
  assert.equal(await look(farm), "a");
  assert.deepEqual(times(), before);
});

test("a pending bootstrap that is not performed leaves neither snapshot nor lock", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  const path = await farm.enumerate((found) => {
    assert.ok(existsSync(join(found.pending!.snapshot.path, "disk.img")));
    assert.match(
      found.pending!.snapshot.path,
      /\/a-gcc-1-[A-Za-z0-9]{6}$/,
      "it tells toolchain and instance",
    );
    return found.pending!.snapshot.path;
  });
  assert.ok(!existsSync(path));
  assert.deepEqual(await farm.names("a"), ["a-1", "a-1.1", "a-gcc.lock"]);
});

test("the lock of a machine outlives the enumeration once it is taken out of it", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.publish("b");
  await farm.bootstrapAll();
  const lock = await farm.enumerate((found, toolchainLock) => {
    const machine = found.machines[0]!;
    assert.ok(machine.state === "locked");
    machine.lock.write(toolchainLock, 1000);
    assert.throws(() => {
      found.take(machine);
      found.take(machine);
    }, /taken out already/);
    return machine.lock;
  });
  await farm.enumerate((found) => {
    assert.equal(summary(found), "-a b");
    const [machine] = found.machines;
    assert.ok(machine?.state === "held");
    assert.deepEqual(machine.holder, { pid: process.pid, priority: 1000 });
    assert.equal(machine.manifest?.id, "a-1.1");
  });
  lock.truncate();
  await farm.enumerate((found) => {
    const [machine] = found.machines;
    assert.ok(machine?.state === "held");
    assert.equal(machine.manifest, undefined, "a suspended machine is never offered");
  });
  lock[Symbol.dispose]();
  assert.equal(await look(farm), "a b");
});

test("a new revision, another toolchain or an older worker is a reason to bootstrap again", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  assert.equal(await look(farm, { toolchain: { name: toolchain, id: "toolchain-2" } }), "+a");
  assert.equal(
    await look(farm, { toolchain: { name: toolchain, id: "" } }),
    "a",
    "an empty id is not compared",
  );
  assert.equal(await look(farm, { workerVersion: "1.2.1" }), "+a");
  assert.equal(await look(farm, { workerVersion: undefined }), "a", "a foreign worker is not compared");
  await farm.publish("a");
  await farm.enumerate((found) => {
    assert.equal(summary(found), "+a");
    assert.equal(found.pending!.manifest.id, "a-1.2");
    assert.equal(found.pending!.obsolete!.machine.id, "a-1.1");
  });
  assert.equal(await farm.bootstrap(), "a");
  assert.equal(await look(farm), "a");
});

test("a machine of a newer worker is left alone for whatever reason, and stays", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  await farm.publish("a");
  for (const workerVersion of ["1.1.9", "1.2.0-rc.1", "0.9.0"])
    assert.equal(await look(farm, { workerVersion, toolchain: { name: toolchain, id: "other" } }), "");
  assert.ok(existsSync(farm.paths("a").bootstrapped));
});

test("a machine that was bootstrapped by a foreign worker is up to date", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll({ workerVersion: undefined });
  assert.equal(await look(farm, { workerVersion: "9.0.0" }), "a");
});

test("an auxiliary machine is looked after as others are", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.publish("db", { manifest: machineManifest("db", "db-1", "role: auxiliary\n") });
  await farm.bootstrapAll();
  assert.equal(await look(farm), "a db");
});

test("a machine without a link is forgotten, with what was bootstrapped from it", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  unlinkSync(farm.paths("a").current);
  assert.equal(await look(farm), "");
  assert.deepEqual(await farm.names("a"), ["a-1.1", "a-gcc.lock"]);
  assert.deepEqual(
    farm.records("warn").map((record) => record["msg"]),
    ["no build machines for toolchain gcc"],
  );
  const said = farm.records().length;
  assert.equal(await look(farm, { storage: removingNothing(farm.storage) }), "");
  const texts = farm.records().slice(said);
  assert.ok(
    !texts.some(({ msg }) => String(msg).includes("removing")),
    "once it is forgotten, nothing is left",
  );
});

/** Storage that is not to remove anything. */
function removingNothing(storage: Storage): Storage {
  return { ...interfering(storage, () => {}), remove: (path) => assert.fail(`${path} is removed`) };
}

test("a machine without a link that is held counts as busy, and nothing of it is removed", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  using lock = await farm.enumerate((found, toolchainLock) => {
    const machine = found.machines[0]!;
    assert.ok(machine.state === "locked");
    machine.lock.write(toolchainLock, 1);
    return found.take(machine);
  });
  unlinkSync(farm.paths("a").current);
  assert.equal(await look(farm), "-a");
  assert.ok(existsSync(farm.paths("a").bootstrapped));
  lock[Symbol.dispose]();
});

test("directories that are no machines are not touched", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  const volume = join(farm.directory, "v");
  await mkdir(join(volume, "lost+found"));
  await mkdir(join(volume, ".hidden"));
  await mkdir(join(farm.directory, ".hidden", "x"), { recursive: true });
  writeFileSync(join(volume, "file"), "");
  writeFileSync(join(farm.directory, "file"), "");
  symlinkSync("a", join(volume, "link"));
  symlinkSync("v", join(farm.directory, "w"));
  assert.equal(await look(farm), "a");
  assert.deepEqual(farm.records("warn"), []);
  assert.deepEqual(farm.records("error"), []);
});

test("of two machines with a name, the one in the first volume counts, with a warning", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.publish("a", { volume: "u", id: "a-of-u" });
  for (const volume of ["u", "v"]) await mkdir(join(farm.directory, volume, "lost+found"));
  await farm.bootstrapAll();
  await farm.enumerate((found) => {
    assert.equal(summary(found), "a");
    assert.equal(found.machines[0]!.paths.volume, "u");
  });
  const warnings = farm.records("warn").map((record) => String(record["msg"]));
  for (const warning of warnings) assert.match(warning, /ignored in volume v.*in u/);
  assert.ok(warnings.length > 0);
});

test("a malformed manifest is reported with file, line and column, and only its machine is left out", async () => {
  await using farm = await makeFarm();
  await farm.publish("bad", { manifest: ": 1\nid: bad-1.1\nname: bad\nsummary: x\ntype: xen\n" });
  await farm.publish("good");
  await farm.publish("named", { manifest: machineManifest("other", "other-1.1") });
  await farm.publish("unknown", { manifest: machineManifest("unknown", "unknown-1.1", "colour: red\n") });
  await farm.bootstrapAll();
  assert.equal(await look(farm), "good");
  const errors = farm.records("error").slice(-3);
  assert.match(String(errors[0]?.["msg"]), /\/v\/bad\/bad-1\.1\/manifest:5:7: /);
  assert.match(String(errors[1]?.["msg"]), /names machine 'other'/);
  assert.match(String(errors[2]?.["msg"]), /manifest:6:1: /);
});

test("a machine that is a container is left out, with the reason why nobody runs those here", async () => {
  await using farm = await makeFarm();
  await farm.publish("box", { manifest: machineManifest("box", "box-1.1").replace("kvm", "nspawn") });
  assert.equal(await look(farm), "");
  assert.match(
    String(farm.records("error")[0]?.["msg"]),
    /left out: its type is 'nspawn': a container isolates/,
  );
});

test("a malformed bootstrapped manifest leaves the machine out, deleting nothing", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  writeFileSync(manifestPath(farm.paths("a").bootstrapped), ": 1\nid: a");
  assert.equal(await look(farm), "");
  assert.ok(existsSync(farm.paths("a").bootstrapped));
  const [error] = farm.records("error");
  assert.match(String(error?.["msg"]), /a-gcc\/manifest:\d+:\d+: /);
  assert.match(String(error?.["hint"]), /Remove .*a-gcc/);
});

test("a bootstrapped machine that has lost its manifest is bootstrapped again", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  rmSync(manifestPath(farm.paths("a").bootstrapped));
  assert.equal(await farm.bootstrap(), "a");
  assert.equal(await look(farm), "a");
});

test("a link that is switched while the snapshot is made is seen: the manifest is that of the snapshot", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  const storage = interfering(farm.storage, async (attempt) => {
    if (attempt !== 1) return;
    // The operator replaces the revision in place, which nobody should do.
    const revision = currentRevision(farm.paths("a"))!;
    writeFileSync(manifestPath(revision), machineManifest("a", "a-replaced"));
  });
  await farm.enumerate(
    (found) => {
      assert.equal(found.pending!.manifest.id, "a-replaced");
      const path = manifestPath(found.pending!.snapshot.path);
      assert.match(readFileSync(path, "utf8"), /a-replaced/);
    },
    { storage },
  );
});

test("a revision that is replaced and removed in the middle is looked up again", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  const storage = interfering(farm.storage, async (attempt) => {
    if (attempt !== 1) return;
    const revision = currentRevision(farm.paths("a"))!;
    await farm.publish("a");
    await farm.storage.remove(revision);
  });
  let pauses = 0;
  await farm.enumerate((found) => assert.equal(found.pending!.manifest.id, "a-1.2"), {
    storage,
    pause: async () => void pauses++,
  });
  assert.equal(pauses, 1);
  assert.deepEqual(farm.records("error"), []);
});

test("a machine whose revision stays away is left out after ten retries, unlocked", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.publish("b");
  await rename(revisionPath(farm.paths("a"), 1), join(farm.paths("a").directory, "moved"));
  let pauses = 0;
  const pause = async () => {
    pauses++;
    // Released between the attempts: others may need the machine.
    using lock = tryLock(farm, "a");
    assert.ok(lock);
  };
  assert.equal(await look(farm, { pause }), "+b");
  assert.equal(pauses, 10);
  assert.match(String(farm.records("error").at(-1)?.["msg"]), /machine is left out: .*has no manifest/);
});

function tryLock(farm: Farm, name: string): MachineLock | undefined {
  const assertHeld = () => {};
  const lock = tryMachineLock({ assertHeld } as Parameters<typeof tryMachineLock>[0], farm.paths(name));
  return lock instanceof MachineLock ? lock : undefined;
}

test("snapshots that keep failing leave the machine out with the reason", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  const storage = interfering(farm.storage, () => {
    throw new Failure("make snapshot", "no space left on device");
  });
  assert.equal(await look(farm, { storage }), "");
  assert.match(String(farm.records("error").at(-1)?.["msg"]), /no space left on device/);
  assert.deepEqual(await farm.names("a"), ["a-1", "a-1.1", "a-gcc.lock"]);
});

test("a machine that disappears in the middle is left out without a word", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.publish("b");
  const storage = interfering(farm.storage, async (attempt) => {
    if (attempt === 1) rmSync(farm.paths("a").directory, { recursive: true });
  });
  assert.equal(await look(farm, { storage }), "+b");
  assert.deepEqual(farm.records("error"), []);
});

test("a link that is none fails the enumeration, saying what to do, and releases all locks", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.publish("b");
  await farm.bootstrapAll();
  rmSync(farm.paths("b").current);
  await mkdir(farm.paths("b").current);
  await assert.rejects(look(farm), (error: unknown) => {
    assert.ok(error instanceof Failure);
    assert.match(error.message, /b-1': it is not a symbolic link/);
    assert.match(error.hints[0]!, /ln -sfn/);
    return true;
  });
  using lock = tryLock(farm, "a");
  assert.ok(lock);
});

test("with all instances busy, nothing is bootstrapped", async () => {
  await using farm = await makeFarm();
  for (const name of ["a", "b", "c"]) await farm.publish(name);
  await farm.bootstrap();
  await farm.bootstrap();
  using a = tryLock(farm, "a");
  assert.equal(await look(farm, { instanceMax: 1 }), "-a b");
  assert.equal(await look(farm, { instanceMax: 2 }), "-a b +c");
  assert.equal(await look(farm), "-a b +c");
  assert.deepEqual(await farm.names("c"), ["c-1", "c-1.1", "c-gcc.lock"]);
  a![Symbol.dispose]();
});

test("a machine whose bootstrap failed is left alone, for longer each time, until something changes", async () => {
  let minutes = 0;
  const bootstrapBackoff = new BootstrapBackoff(() => minutes * 60_000);
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.publish("b");
  const fail = (changes = {}) =>
    farm.enumerate((found) => bootstrapBackoff.failed(found.pending!.attempt), {
      bootstrapBackoff,
      ...changes,
    });
  assert.equal(await fail(), 1);
  assert.equal(await look(farm, { bootstrapBackoff }), "+b", "the others are not kept waiting");
  minutes = 1;
  assert.equal(await fail(), 2);
  minutes = 2.9;
  assert.equal(await look(farm, { bootstrapBackoff }), "+b");
  assert.equal(await look(farm, { bootstrapBackoff, workerVersion: "1.3.0" }), "+a", "another worker");
  assert.equal(await look(farm, { bootstrapBackoff, toolchain: { name: toolchain, id: "new" } }), "+a");
  await farm.publish("a");
  assert.equal(await look(farm, { bootstrapBackoff }), "+a", "another machine id");
  const pauses = [];
  for (let failures = 0; failures < 8; failures++) {
    pauses.push(await fail());
    minutes += 1000;
  }
  assert.deepEqual(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
  await farm.enumerate((found) => bootstrapBackoff.succeeded(found.pending!.attempt), { bootstrapBackoff });
  assert.equal(await fail(), 1);
});

test("two machines whose bootstraps failed are both left alone", async () => {
  const bootstrapBackoff = new BootstrapBackoff(() => 0);
  await using farm = await makeFarm();
  for (const name of ["a", "b"]) {
    await farm.publish(name);
    await farm.enumerate((found) => bootstrapBackoff.failed(found.pending!.attempt), { bootstrapBackoff });
  }
  assert.equal(await look(farm, { bootstrapBackoff }), "");
});

test("what a crashed predecessor left is removed, and nothing else", async () => {
  await using farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  const { directory } = farm.paths("a");
  const volume = join(farm.directory, "v");
  const stale = [
    join(directory, "a-gcc-1-abcdef"),
    join(directory, ".a-gcc.abcdef.removed"),
    join(volume, ".b.abcdef.removed"),
  ];
  const others = [
    "a-gcc-2-abcdef",
    "a-gcc-11-abcdef",
    "a-clang-1-abcdef",
    "a-clang",
    "a-gcc-1-abc",
    ".a-1.abcdef.new",
  ];
  for (const path of [...stale, ...others.map((name) => join(directory, name))]) {
    await mkdir(path);
    writeFileSync(join(path, "disk.img"), "");
  }
  await removeStaleSnapshots({
    directory: farm.directory,
    toolchain,
    instance: 1,
    storage: farm.storage,
    log: farm.log,
  });
  for (const path of stale) assert.ok(!existsSync(path), path);
  assert.deepEqual(await farm.names("a"), ["a-1", "a-1.1", "a-gcc", "a-gcc.lock", ...others].sort());
});
