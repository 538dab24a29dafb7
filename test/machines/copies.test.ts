import assert from "node:assert/strict";
import { existsSync, readFileSync, unlinkSync } from "node:fs";
import { test } from "node:test";
import { countHolders, lockOthers, macOfCopy, tryCopies, type HeldCopy } from "../../machines/copies.ts";
import { BootstrapWaits } from "../../machines/enumeration/bootstrap-waits.ts";
import type { Enumeration, LockedMachine } from "../../machines/enumeration/enumeration.ts";
import { copyPaths } from "../../machines/layout.ts";
import { tryMachineLock, MachineLock } from "../../machines/locks.ts";
import { classifyEntry } from "../../machines/names.ts";
import { removeMachine } from "../../machines/remove.ts";
import type { ToolchainLock } from "../../machines/toolchain-lock.ts";
import { makeFarm, type Farm } from "./farm.ts";
import { shellHolding } from "./shell-holding.ts";

/** `a/2`: copy 2 is locked; `-a/1`: it is held; `+a`: to be bootstrapped. */
function summary({ machines, pending }: Enumeration): string {
  const names = machines.map(
    ({ state, paths }) => `${state === "held" ? "-" : ""}${paths.name}/${paths.copy}`,
  );
  return [...(pending ? [`+${pending.paths.name}`] : []), ...names].join(" ");
}

/** Looks for a machine that is free, and takes its copy for a task. */
function begin(farm: Farm, copies: number, priority = 100): Promise<MachineLock> {
  return farm.enumerate(
    (found, toolchainLock) => {
      const machine = found.machines.find((each): each is LockedMachine => each.state === "locked")!;
      machine.lock.write(toolchainLock, priority);
      return found.take(machine);
    },
    { copies },
  );
}

async function readyFarm(): Promise<Farm> {
  const farm = await makeFarm();
  await farm.publish("a");
  await farm.bootstrapAll();
  return farm;
}

test("each instance that looks for work takes the first copy that is free, up to as many as there are", async () => {
  await using farm = await readyFarm();
  const look = (copies: number) => farm.enumerate(summary, { copies });
  assert.equal(await look(3), "a/1");
  using first = await begin(farm, 3);
  assert.equal(await look(3), "a/2 -a/1");
  using second = await begin(farm, 3);
  using _third = await begin(farm, 3);
  assert.equal(await look(3), "-a/1 -a/2 -a/3");
  second[Symbol.dispose]();
  assert.equal(await look(3), "a/2 -a/1 -a/3");
  first[Symbol.dispose]();
  assert.equal(await look(3), "a/1 -a/3");
  assert.equal(await look(1), "a/1 -a/3", "a copy that others use counts, however few one may take");
  assert.deepEqual(await farm.names("a"), [
    "a-1",
    "a-1.1",
    "a-gcc",
    "a-gcc-2.lock",
    "a-gcc-3.lock",
    "a-gcc.lock",
  ]);
  assert.equal(readFileSync(copyPaths(farm.paths("a"), 3).lock, "utf8"), `${process.pid} 0100`);
});

test("looking through machines whose copies were never used makes no lock for them", async () => {
  await using farm = await readyFarm();
  await farm.enumerate(() => {}, { copies: 4 });
  assert.deepEqual(await farm.names("a"), ["a-1", "a-1.1", "a-gcc", "a-gcc.lock"]);
});

test("a lock by flock(1) on the machine's lock keeps its first copy, and no other", async () => {
  await using farm = await readyFarm();
  await using _shell = await shellHolding(farm.paths("a").lock);
  assert.equal(await farm.enumerate(summary, { copies: 1 }), "-a/1");
  assert.equal(await farm.enumerate(summary, { copies: 2 }), "a/2 -a/1");
});

test("a machine that is to be bootstrapped is offered by nobody, and made by who finds all copies free", async () => {
  await using farm = await readyFarm();
  using first = await begin(farm, 2);
  using second = await begin(farm, 2);
  await farm.publish("a");
  first[Symbol.dispose]();
  await farm.enumerate(
    (found) => {
      assert.equal(summary(found), "-a/2");
      const [held] = found.machines;
      assert.ok(held?.state === "held");
      assert.equal(
        held.manifest,
        undefined,
        "nor does its task give way for one that could not be performed",
      );
    },
    { copies: 2 },
  );
  assert.ok(existsSync(farm.paths("a").bootstrapped));
  second[Symbol.dispose]();
  await farm.enumerate(
    (found, toolchainLock) => {
      assert.equal(summary(found), "+a");
      found.pending!.lock.write(toolchainLock);
      for (const copy of [1, 2])
        assert.deepEqual(tryMachineLock(toolchainLock, copyPaths(farm.paths("a"), copy)), {
          pid: process.pid,
        });
    },
    { copies: 2 },
  );
  assert.equal(await farm.bootstrap({ copies: 2 }), "a");
  assert.equal(await farm.enumerate(summary, { copies: 2 }), "a/1");
});

test("an agent that knows of one copy only does not replace a machine while another one is in use", async () => {
  await using farm = await readyFarm();
  using first = await begin(farm, 2);
  using second = await begin(farm, 2);
  await farm.publish("a");
  first[Symbol.dispose]();
  assert.equal(await farm.bootstrap({ copies: 1 }), undefined);
  second[Symbol.dispose]();
  assert.equal(await farm.bootstrap({ copies: 1 }), "a");
});

test("a machine without a link is forgotten once no copy is in use", async () => {
  await using farm = await readyFarm();
  using first = await begin(farm, 2);
  using second = await begin(farm, 2);
  unlinkSync(farm.paths("a").current);
  first[Symbol.dispose]();
  assert.equal(await farm.enumerate(summary, { copies: 2 }), "-a/2");
  assert.ok(existsSync(farm.paths("a").bootstrapped));
  second[Symbol.dispose]();
  assert.equal(await farm.enumerate(summary, { copies: 2 }), "");
  assert.ok(!existsSync(farm.paths("a").bootstrapped));
});

test("a machine is not removed while any of its copies is in use", async () => {
  await using farm = await readyFarm();
  using first = await begin(farm, 2);
  using second = await begin(farm, 2);
  first[Symbol.dispose]();
  await assert.rejects(removeMachine(farm.storage, farm.paths("a")), /holds the lock 'a-gcc-2\.lock'/);
  second[Symbol.dispose]();
  await removeMachine(farm.storage, farm.paths("a"));
  assert.ok(!existsSync(farm.paths("a").directory));
});

test("as many are busy as processes hold copies, and who does not say who it is counts as one", () => {
  assert.equal(countHolders([]), 0);
  assert.equal(countHolders([{ pid: 7 }, { pid: 7, priority: 1 }, { pid: 8 }, {}, {}]), 4);
});

test("with as many busy as may be, a machine is not bootstrapped, however many copies one of them holds", async () => {
  await using farm = await readyFarm();
  await farm.publish("b");
  const look = (instanceMax: number) => farm.enumerate(summary, { copies: 2, instanceMax });
  using first = await begin(farm, 2);
  using _second = await begin(farm, 2);
  assert.equal(await look(2), "+b -a/1 -a/2", "both are held by one process");
  assert.equal(await look(1), "-a/1 -a/2");
  first[Symbol.dispose]();
});

test("the locks of all copies are had together or not at all", async () => {
  await using farm = await readyFarm();
  await farm.enumerate(async (_, toolchainLock: ToolchainLock) => {
    const held: HeldCopy[] = [];
    const paths = farm.paths("b");
    await farm.publish("b");
    const { free } = tryCopies(toolchainLock, paths, 2);
    assert.ok(free && held.length === 0);
    const third = tryMachineLock(toolchainLock, copyPaths(paths, 3));
    assert.ok(third instanceof MachineLock);
    assert.equal(lockOthers(toolchainLock, free, 2), undefined, "somebody else has three copies");
    assert.ok(tryMachineLock(toolchainLock, copyPaths(paths, 2)) instanceof MachineLock);
    third[Symbol.dispose]();
  });
});

test("the address of a copy is the same each time, its own, and of no manufacturer", () => {
  const mac = "52:54:00:12:34:56";
  assert.equal(macOfCopy(mac, 1), mac);
  const others = [2, 3, 4].map((copy) => macOfCopy(mac, copy));
  assert.deepEqual(
    others,
    [2, 3, 4].map((copy) => macOfCopy(mac.toUpperCase(), copy)),
  );
  assert.equal(new Set([mac, ...others, macOfCopy("52:54:00:12:34:57", 2)]).size, 5);
  for (const each of others) {
    assert.match(each, /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
    assert.equal(Number.parseInt(each.slice(0, 2), 16) & 3, 2);
  }
});

test("names of copies' locks are those of no machine, revision, snapshot or other toolchain", () => {
  assert.deepEqual(classifyEntry("m", "m-gcc-2.lock"), { kind: "lock", toolchain: "gcc", copy: 2 });
  assert.deepEqual(classifyEntry("m", "m-gcc-99.lock"), { kind: "lock", toolchain: "gcc", copy: 99 });
  for (const name of [
    "m-gcc-1.lock",
    "m-gcc-0.lock",
    "m-gcc-02.lock",
    "m-gcc-100.lock",
    "m-gcc-2-3.lock",
    "m-1-2.lock",
  ])
    assert.equal(classifyEntry("m", name), undefined, name);
});

test("that a machine waits for its copies is told every ten minutes", () => {
  let minutes = 0;
  const waits = new BootstrapWaits(() => minutes * 60_000);
  const at = (now: number) => ((minutes = now), waits.waits("/a"));
  assert.deepEqual([0, 9, 10, 11, 20].map(at), [undefined, undefined, 10, undefined, 20]);
  waits.ended("/a");
  assert.deepEqual([30, 40].map(at), [undefined, 10]);
});

test("for whom a machine waits is told in the log", async () => {
  await using farm = await readyFarm();
  using first = await begin(farm, 2);
  using _second = await begin(farm, 2);
  await farm.publish("a");
  first[Symbol.dispose]();
  let minutes = 0;
  const bootstrapWaits = new BootstrapWaits(() => minutes * 60_000);
  for (minutes of [0, 10]) await farm.enumerate(() => {}, { copies: 2, bootstrapWaits });
  const [warning] = farm.records("warn");
  assert.deepEqual(warning?.["holders"], [{ copy: 2, pid: process.pid, priority: 100 }]);
  assert.equal(warning["minutes"], 10);
});
