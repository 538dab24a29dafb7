/** Tasks with auxiliary machines line by line: how a group begins, and how it ends, in the order that the test says. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { GroupLock } from "../../../agent/asking/group-lock.ts";
import { takeAuxiliaries } from "../../../agent/asking/take-auxiliaries.ts";
import { performTask, type Performed } from "../../../agent/performing/task.ts";
import type { Settings } from "../../../agent/settings/settings.ts";
import { Interrupted } from "../../../agent/task-state/interruption.ts";
import type { LockedMachine } from "../../../machines/enumeration/enumeration.ts";
import { warmDirectory } from "../../../machines/warm/state.ts";
import { parseTask } from "../../../manifests/task.ts";
import { machineManifest } from "../../machines/farm.ts";
import { resultText, task as taskText } from "../running-agent.ts";
import {
  agentDouble,
  beginsWhenTold,
  layState,
  type AgentDouble,
  type MachineDouble,
} from "./machine-double.ts";

interface Run extends AsyncDisposable {
  agent: AgentDouble;
  performed: Performed;
  log: string;
  /** Names of machines whose locks can be had. */
  free: () => Promise<string[]>;
}

type Play = (machine: MachineDouble, name: string, attempt: number) => Promise<void> | void;

/** A task with two auxiliary machines, `linux-db` called db, and `linux-store` called store. */
async function perform(
  play: Play,
  changes: Partial<Settings> = {},
  signal: AbortSignal = new AbortController().signal,
  saved: readonly string[] = [],
): Promise<Run> {
  const started: string[] = [];
  const agent = await agentDouble((machine) => {
    const { name } = machine.options.machine;
    started.push(name);
    return play(machine, name, started.filter((other) => other === name).length);
  }, changes);
  const { farm } = agent;
  for (const name of ["linux-db", "linux-store"])
    await farm.publish(name, { manifest: machineManifest(name, `${name}-1.1`, "role: auxiliary\n") });
  await farm.bootstrapAll();
  const auxiliary = "auxiliary-machine-db: linux-db\nauxiliary-machine-store: linux-store\n";
  const task = parseTask(Buffer.from(`: 1\n${taskText}${auxiliary}`));
  const { machines } = await farm.enumerate((found) => Promise.resolve(found));
  for (const found of machines)
    if (found.state === "locked" && saved.includes(found.paths.name))
      await layState(agent.context.settings, { paths: found.paths, bootstrapped: found.manifest });
  const machine = await farm.enumerate((enumeration, toolchainLock) => {
    const share = { copies: 1, auxiliaryRamKiB: 600_000, ramKiB: 300_000 };
    const taken = takeAuxiliaries(task, { toolchainLock, enumeration, ...share });
    assert.ok(!("reason" in taken));
    const own = enumeration.machines.find(({ paths }) => paths.name === "m") as LockedMachine;
    const lock = enumeration.take(own);
    const all = new GroupLock(
      lock,
      taken.map((each) => each.lock),
    );
    all.write(toolchainLock, 100);
    return {
      ...{ paths: own.paths, bootstrapped: own.manifest, lock: all },
      group: { machines: taken, lock },
    };
  });
  const received = {
    controller: { url: "http://127.0.0.1:1/task", priority: 100 },
    response: { session: "s", uploadUrls: {}, task },
    task,
  };
  const interruption = { signal, [Symbol.dispose]: () => {} };
  const performed = await performTask(agent.context, received, machine, interruption);
  await performed.cleared;
  const free = () =>
    farm.enumerate((found) =>
      found.machines.filter(({ state }) => state === "locked").map(({ paths }) => paths.name),
    );
  const dispose = async () => {
    await performed.held?.[Symbol.asyncDispose]();
    await agent[Symbol.asyncDispose]();
  };
  const log = performed.result.operations.map((operation) => operation.log).join("");
  return { agent, performed, log, free, [Symbol.asyncDispose]: dispose };
}

/** What is left of the machines: snapshots, and directories of a group. */
async function leftOf({ farm, context }: AgentDouble): Promise<string[]> {
  const names = ["m", "linux-db", "linux-store"];
  const snapshots = (await Promise.all(names.map((name) => farm.names(name)))).flat();
  const tftp = join(context.directories.get, "..");
  return [
    ...snapshots.filter((name) => /-gcc-1-/.test(name)),
    ...(existsSync(tftp) ? readdirSync(tftp) : []),
  ];
}

async function serve(machine: MachineDouble, environment: string): Promise<void> {
  await machine.askForTask("auxiliary");
  await machine.upload("auxiliary-environment", environment);
}

const all = ["linux-db", "linux-store", "m"];

test("all say where their services are before the build machine starts, which is told; afterwards nothing is left", async () => {
  const order: string[] = [];
  let told = "";
  await using run = await perform(async (machine, name) => {
    order.push(name);
    if (name !== "m") return serve(machine, name === "linux-db" ? "PORT=5432\n" : "HOST=here\n");
    told = await machine.askForTask();
    await machine.upload("result.manifest", resultText());
  });
  assert.equal(run.performed.result.status, "success", run.log);
  assert.deepEqual([order.slice(0, 2).sort(), order.slice(2)], [["linux-db", "linux-store"], ["m"]]);
  assert.match(told, /DB_PORT=5432\nSTORE_HOST=here/);
  assert.ok(run.agent.machines.every(({ calls }) => calls.includes("gone")));
  assert.deepEqual((await run.free()).sort(), all);
  assert.deepEqual(await leftOf(run.agent), []);
});

test("saved ones are restored, and told their place in the group; one that cannot be is booted, and its state removed", async () => {
  const told: string[] = [];
  const play: Play = async (machine, name, attempt) => {
    const isRestored = machine.options.memory !== undefined;
    machine.calls.push(isRestored ? "restored" : "booted");
    const { mac, address } = machine.options.group!;
    if (isRestored) {
      const answers = name === "linux-store" ? ["what?"] : undefined;
      const said = await beginsWhenTold(machine, answers);
      told.push(said.replace(mac, "MAC").replace(/:\d+ /, ":PORT "));
      if (name === "linux-store") return;
    }
    assert.equal(attempt, name === "linux-store" ? 2 : 1, address);
    if (name !== "m") return serve(machine, "");
    await machine.askForTask();
    await machine.upload("result.manifest", resultText());
  };
  const settings = { warm: true, accel: "tcg", ramKiB: 300_000 } as const;
  await using run = await perform(play, settings, undefined, all);
  assert.equal(run.performed.result.status, "success", run.log);
  const line = (address: string) => `croft-control 3 start 10.0.2.2:PORT - 0 0 MAC ${address}\n`;
  assert.deepEqual(told.sort(), ["198.18.0.1/24", "198.18.0.2/24", "198.18.0.3/24"].map(line));
  const calls = run.agent.machines.map(
    (machine) => `${machine.options.machine.name}: ${machine.calls.join(" ")}`,
  );
  assert.deepEqual(calls.sort(), [
    "linux-db: restored plug proceed gone",
    "linux-store: booted gone",
    "linux-store: restored plug proceed gone",
    "m: restored plug proceed gone",
  ]);
  const left = all.map((name) => existsSync(warmDirectory(run.agent.farm.paths(name))));
  assert.deepEqual(left, [true, false, true]);
  assert.deepEqual(await leftOf(run.agent), []);
});

test("one that stays silent is tried again, and then held; the others are let go, and the result says which it was", async () => {
  const tries: string[] = [];
  const play: Play = async (machine, name) => {
    tries.push(name);
    if (name === "linux-store") await serve(machine, "");
  };
  await using run = await perform(play, {
    ...{ startupTimeoutSeconds: { bootstrap: 5, build: 0.5 }, buildRetries: 1, suspend: true },
  });
  assert.equal(run.performed.result.status, "abort");
  assert.match(
    run.log,
    /^auxiliary machine 'db' \(linux-db\): it did not come up: no sign of life within 0\.5 s/,
  );
  assert.deepEqual(tries.sort(), ["linux-db", "linux-db", "linux-store"]);
  assert.ok(run.performed.held, "it is evidence");
  assert.deepEqual((await run.free()).sort(), ["linux-store", "m"]);
  const [told] = run.agent.farm.records("error");
  assert.deepEqual([told!["machine"], told!["auxiliary"]], ["linux-db", "db"]);
});

test("one that fails keeps nobody from being told, however long another one would take", async () => {
  await using run = await perform(async (machine, name) => {
    await machine.askForTask("auxiliary");
    if (name === "linux-db") await machine.upload("auxiliary-environment", "rm -rf /\n");
  });
  assert.match(
    run.log,
    /^auxiliary machine 'db' \(linux-db\): Cannot read its environment: line 1 is no NAME=VALUE/,
  );
});

for (const when of ["while they boot", "while the task is performed"] as const)
  test(`an interruption ${when} ends all of them`, async () => {
    const interruption = new AbortController();
    const interrupt = () => interruption.abort(new Interrupted("for another task"));
    // The double's transfer ends before its server does, or it would send again and again.
    const served = Promise.withResolvers<void>();
    const play: Play = async (machine, name) => {
      if (name === "linux-db") served.resolve(await serve(machine, ""));
      if (name === "linux-store")
        await (when === "while they boot" ? served.promise.then(interrupt) : serve(machine, ""));
      if (name === "m") void (await machine.askForTask(), interrupt());
    };
    await using run = await perform(play, {}, interruption.signal);
    assert.equal(run.performed.result.status, "interrupt", run.log);
    assert.equal(run.agent.machines.length, when === "while they boot" ? 2 : 3);
    assert.ok(run.agent.machines.every(({ calls }) => calls.includes("gone")));
    assert.deepEqual((await run.free()).sort(), all);
    assert.deepEqual(await leftOf(run.agent), []);
  });
