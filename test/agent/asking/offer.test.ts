/** What is offered to a controller, and what it is told of the agent. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { machinesFor, taskRequest } from "../../../agent/asking/offer.ts";
import type { HeldTask } from "../../../agent/asking/interrupter.ts";
import type { Load } from "../../../agent/asking/priority.ts";
import { auxiliaryRamKiB } from "../../../agent/settings/auxiliary.ts";
import { interactiveLogin } from "../../../agent/settings/interactive-login.ts";
import type { HeldMachine, LockedMachine } from "../../../machines/enumeration/enumeration.ts";
import { copyPaths, machinePaths } from "../../../machines/layout.ts";
import { fakeMachineLock } from "../../../machines/locks.ts";
import type { Machine } from "../../../manifests/machine.ts";
import { networkInterfaces } from "node:os";
import { makeFarm, type Farm } from "../../machines/farm.ts";
import { makeSettings } from "../settings/make-settings.ts";

const controller = "http://controller.example/task";
const pathsOf = (name: string) => machinePaths("/machines", "v", name, "gcc");
const manifestOf = (name: string, more: Partial<Machine> = {}): Machine => ({
  ...{ id: `${name}-1.1`, name, summary: `machine ${name}`, type: "kvm" },
  ...more,
});

function free(name: string, more: Partial<Machine> = {}): LockedMachine {
  const paths = pathsOf(name);
  const manifest = {
    machine: { ...manifestOf(name, more), mac: "02:00:00:00:00:01" },
    ...{ toolchain: { id: "t" }, bootstrap: { versions: {} } },
  };
  return { state: "locked", paths, lock: fakeMachineLock(paths), manifest };
}

function held(name: string, priority: number, manifest: Machine | undefined = manifestOf(name)): HeldTask {
  const machine: HeldMachine = {
    state: "held",
    paths: pathsOf(name),
    holder: { pid: 7, priority },
    manifest,
  };
  return { machine, pid: 7, priority };
}

const loadOf = (instanceMax: number, ...running: HeldTask[]): Load<HeldTask> => ({
  ...{ instanceMax, held: running.length, running },
});

const contextOf = ({ log }: Pick<Farm, "log">) => ({ settings: makeSettings({}, [controller]), log });

/** Names of the machines that are offered, or why the controller is not asked. */
async function offered(
  machines: readonly LockedMachine[],
  load: Load<HeldTask>,
  { priority = 100, mayInterrupt = true } = {},
): Promise<readonly string[] | string> {
  await using farm = await makeFarm();
  const controller = { url: "http://controller.example/task", priority };
  const found = machinesFor(contextOf(farm), controller, machines, load, mayInterrupt);
  if (found) return found.map(({ paths }) => paths.name);
  const record = farm.records().at(-1)!;
  assert.deepEqual([record["url"], record["priority"]], [controller.url, priority]);
  return String(record["reason"]);
}

test("free machines are offered before those of tasks that may be interrupted, the least important first", async () => {
  const [a, b] = [held("a", 12), held("b", 3)];
  assert.deepEqual(await offered([free("c"), free("d")], loadOf(9, a, b)), ["c", "d", "b", "a"]);
  assert.deepEqual(await offered([free("c")], loadOf(9, a, b), { mayInterrupt: false }), ["c"]);
});

test("a machine of an interruptible task that nobody could start is not offered", async () => {
  const unreadable = { ...held("a", 1) };
  const machine = { ...unreadable.machine, manifest: undefined };
  const tasks = [{ ...unreadable, machine }, held("b", 2, manifestOf("b", { type: "nspawn" })), held("c", 3)];
  assert.deepEqual(await offered([], loadOf(9, ...tasks)), ["c"]);
});

test("a controller that nothing can be offered to is not asked; the log says why", async () => {
  assert.equal(await offered([], loadOf(9)), "there is no machine to offer");
  assert.equal(await offered([free("c")], loadOf(9, held("a", 200))), "a running task holds it back");
  assert.equal(await offered([free("c")], loadOf(1, held("a", 100))), "no instance is free");
  const full = loadOf(1, held("a", 12));
  assert.deepEqual(await offered([free("c")], full), ["c", "a"]);
  assert.equal(
    await offered([free("c")], full, { mayInterrupt: false }),
    "a task would have to give way, and did not lately",
  );
});

test("a controller is told who asks, and of each machine what is needed to choose it", () => {
  const made = makeSettings({ "toolchain-name": "gcc", "auxiliary-ram": 4096 }, [controller]);
  const settings = { ...made, toolchain: { ...made.toolchain, version: "12.2" } };
  const more = { role: "auxiliary", ramMinimumKiB: 1, ramMaximumKiB: 2, changes: "none" } as const;
  const request = taskRequest({ settings, signer: undefined, hostName: "host" }, [
    free("a", more),
    held("b", 1).machine,
  ]);
  assert.deepEqual(request, {
    agent: "host",
    toolchainName: "gcc",
    toolchainVersion: "12.2",
    auxiliaryRamKiB: 4096,
    machines: [
      { id: "a-1.1", name: "a", summary: "machine a", role: "auxiliary", ramMinimumKiB: 1, ramMaximumKiB: 2 },
      { id: "b-1.1", name: "b", summary: "machine b" },
    ],
  });
});

test("an agent with a key tells its fingerprint; one that takes interactive tasks, where people log in", (t) => {
  const settings = makeSettings({ "toolchain-name": "gcc", interactive: "both" }, [controller]);
  const addresses = Object.values(networkInterfaces()).flat();
  if (addresses.every((address) => !address || address.internal || address.family !== "IPv4"))
    return t.skip("this host has no address but its loopback");
  const nobody = () => Promise.reject(new Error("not expected"));
  const signer = { fingerprint: "f".repeat(64), sign: nobody, prove: nobody };
  const request = taskRequest({ settings, signer, hostName: "host" }, []);
  assert.deepEqual(
    [request.fingerprint, request.interactiveMode, request.interactiveLogin],
    ["f".repeat(64), "both", interactiveLogin(settings)],
  );
});

test("free auxiliary machines are offered where there is a machine to build on, and theirs are names with a dash", async () => {
  const auxiliary = { role: "auxiliary" } as const;
  const [database, nameless] = [free("linux-db", auxiliary), free("db", auxiliary)];
  const running = held("linux-cache", 1, manifestOf("linux-cache", auxiliary));
  assert.deepEqual(await offered([database, free("a"), nameless], loadOf(9, running)), ["a", "linux-db"]);
  assert.equal(await offered([database], loadOf(9)), "there is no machine to offer");
});

test("memory for auxiliary machines is told as it was given, else what is left for the instances' machines, and 0 without any", () => {
  const told = (given: Record<string, number>, machines: LockedMachine[]) => {
    const settings = makeSettings(given, [controller]);
    return taskRequest({ settings, signer: undefined, hostName: "host" }, machines).auxiliaryRamKiB;
  };
  assert.equal(told({ "auxiliary-ram": 5 }, [free("linux-db", { role: "auxiliary" })]), 5);
  assert.equal(told({ "auxiliary-ram": 5 }, [free("a")]), 0);
  const settings = makeSettings({ ram: 100_000, "instance-max": 3 }, [controller]);
  assert.equal(
    auxiliaryRamKiB(settings, () => 350_000),
    50_000,
  );
  assert.equal(
    auxiliaryRamKiB(settings, () => 250_000),
    0,
  );
});

test("a machine is offered once: its free copy, else that of the least important task", async () => {
  await using farm = await makeFarm();
  const copy = (priority: number, number: number): HeldTask => {
    const task = held("a", priority);
    return { ...task, machine: { ...task.machine, paths: copyPaths(pathsOf("a"), number) } };
  };
  const load = loadOf(4, copy(15, 1), copy(12, 2));
  const asked = (machines: LockedMachine[]) =>
    machinesFor(contextOf(farm), { url: controller, priority: 1000 }, machines, load, true)!;
  const [least, ...more] = asked([]);
  assert.deepEqual([least?.paths.copy, more.length], [2, 0]);
  const [first, ...others] = asked([free("a")]);
  assert.deepEqual([first?.state, others.length], ["locked", 0]);
});
