/** Machines that are restored, also before there is a task: who gets them, what has them thrown away, and what a failure costs. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { performTask, type Performed } from "../../../agent/performing/task.ts";
import type { WarmSubject } from "../../../agent/settings/warm.ts";
import { removeState } from "../../../machines/warm/state.ts";
import type { LockedMachine } from "../../../machines/enumeration/enumeration.ts";
import { parseTask } from "../../../manifests/task.ts";
import { resultText, task as taskText } from "../running-agent.ts";
import {
  agentDouble,
  beginsWhenTold,
  layState,
  type AgentDouble,
  type MachineDouble,
} from "./machine-double.ts";

const never = new AbortController().signal;
const warm = { warm: true, accel: "tcg", ramKiB: 1024, ahead: "auto" } as const;

/** Plays a guest that does its task, whether it is booted or restored; a restored one once it may go on. */
async function play(machine: MachineDouble): Promise<void> {
  if (machine.options.memory) await beginsWhenTold(machine);
  await machine.askForTask();
  await machine.upload("result.manifest", resultText());
}

/** An agent with a machine that is saved. */
async function warmAgent(guest = play): Promise<{ agent: AgentDouble; subject: WarmSubject }> {
  const agent = await agentDouble(guest, warm);
  await agent.farm.bootstrapAll();
  const { settings } = agent.context;
  const subject = await locked(agent, ({ paths, manifest }) => ({ paths, bootstrapped: manifest }));
  await layState(settings, subject);
  return { agent, subject };
}

function locked<T>(agent: AgentDouble, use: (machine: LockedMachine) => T): Promise<T> {
  return agent.farm.enumerate((found) =>
    use(found.machines.find(({ state }) => state === "locked") as LockedMachine),
  );
}

async function perform(agent: AgentDouble, subject: WarmSubject, more = ""): Promise<Performed> {
  const task = parseTask(Buffer.from(`: 1\n${taskText}${more}`));
  const received = {
    controller: { url: "http://127.0.0.1:1/task", priority: 100 },
    response: { session: "s", uploadUrls: {}, task },
    task,
  };
  const lock = { truncate: () => {}, [Symbol.dispose]: () => {} };
  const interruption = { signal: never, [Symbol.dispose]: () => {} };
  const performed = await performTask(agent.context, received, { ...subject, lock }, interruption);
  await performed.cleared;
  return performed;
}

const calls = ({ machines }: AgentDouble) => machines.map((machine) => machine.calls);
const left = async ({ farm }: AgentDouble) =>
  (await farm.names("m")).filter((name) => !/^m-(1|1\.1|gcc|gcc\.lock)$/.test(name));

test("the machine that was used last is wanted; it stands still until its task, and nothing is left of it", async () => {
  const { agent, subject } = await warmAgent();
  await using _ = agent;
  const { ahead } = agent.context;
  assert.equal(await ahead.isWanted(agent.context, subject), false); // nothing was used yet
  await perform(agent, subject);
  assert.equal(await ahead.isWanted(agent.context, subject), true);
  await ahead.keep(agent.context, subject, never);
  assert.equal(await ahead.isWanted(agent.context, subject), false);
  await ahead.look(agent.context);
  assert.deepEqual(calls(agent), [["proceed", "gone"], ["rest"]]);
  assert.equal((await left(agent)).length, 1);
  const { result } = await perform(agent, subject);
  assert.equal(result.status, "success");
  assert.deepEqual(calls(agent), [
    ["proceed", "gone"],
    ["rest", "proceed", "gone"],
  ]);
  assert.deepEqual(await left(agent), []);
});

test("an interactive task, a state that has changed, and one that ended by itself: it is thrown away, the task is built", async () => {
  const { agent, subject } = await warmAgent();
  await using _ = agent;
  const { ahead } = agent.context;
  const context = { ...agent.context, login: "192.0.2.7:5901" };
  await perform(agent, subject);
  await ahead.keep(agent.context, subject, never);
  await perform({ ...agent, context }, subject, "interactive: test me@there\n");
  assert.deepEqual(calls(agent).slice(1), [["rest", "gone"], ["gone"]]); // the second was booted
  await ahead.keep(agent.context, subject, never);
  agent.machines[3]!.end("exited");
  await perform(agent, subject);
  assert.deepEqual(calls(agent).slice(3), [
    ["rest", "gone"],
    ["proceed", "gone"],
  ]);
  await ahead.keep(agent.context, subject, never);
  truncateSync(join(subject.paths.bootstrapped, "warm", "ram"), 4000);
  await perform(agent, subject);
  assert.deepEqual(calls(agent).slice(5), [["rest", "gone"], ["gone"]]);
  assert.deepEqual(await left(agent), []);
});

test("it is not kept once its state has changed, without the memory for it, nor with --ahead off", async () => {
  const { agent, subject } = await warmAgent();
  await using _ = agent;
  const { ahead, settings } = agent.context;
  await perform(agent, subject);
  const many = { ...agent.context, settings: { ...settings, instanceMax: 2 ** 31 } };
  const off = { ...agent.context, settings: { ...settings, ahead: "off" as const } };
  assert.equal(await ahead.isWanted(many, subject), false);
  assert.equal(await ahead.isWanted(off, subject), false);
  for (const context of [many, off]) {
    await ahead.keep(agent.context, subject, never);
    await ahead.look(context);
    assert.deepEqual(calls(agent).at(-1), ["rest", "gone"]);
  }
  await ahead.keep(agent.context, subject, never);
  truncateSync(join(subject.paths.bootstrapped, "warm", "ram"), 4000);
  await ahead.look(agent.context);
  assert.deepEqual(calls(agent).at(-1), ["rest", "gone"]);
  assert.equal(await ahead.isWanted(agent.context, subject), false);
  assert.deepEqual(await left(agent), []);
});

test("the agent's end throws it away; one that cannot be restored is not tried again before its next task", async () => {
  const { agent, subject } = await warmAgent();
  await using _ = agent;
  const { ahead, startMachine } = agent.context;
  await perform(agent, subject);
  await ahead.keep(agent.context, subject, never);
  await ahead[Symbol.asyncDispose]();
  assert.deepEqual([calls(agent).at(-1), await left(agent)], [["rest", "gone"], []]);
  agent.context.startMachine = () => Promise.reject(new Error("no QEMU"));
  await ahead.keep(agent.context, subject, never);
  assert.deepEqual([await left(agent), await ahead.isWanted(agent.context, subject)], [[], false]);
  agent.context.startMachine = startMachine;
  await perform(agent, subject);
  assert.equal(await ahead.isWanted(agent.context, subject), true);
});

test("restored machines that end cost their tasks nothing but time; their state is removed after three in a row, with how they ended", async () => {
  const ends = [true, true, false, true, true, true];
  const { agent, subject } = await warmAgent((machine) => {
    const isGood = machine.options.memory && !ends.shift();
    const drawn = ends.length % 2 === 0 ? "" : randomBytes(32); // it ends before that, or after
    return isGood ? play(machine) : endsOnceRestored(machine, undefined, drawn);
  });
  await using _ = agent;
  const at = (name: string) => join(subject.paths.bootstrapped, name);
  while (ends.length > 0) {
    assert.ok(existsSync(at("warm")), `${ends.length} tasks before`);
    assert.equal((await perform(agent, subject)).result.status, "success");
  }
  assert.equal(existsSync(at("warm")), false);
  assert.match(readFileSync(at("warm-failure"), "utf8"), / has ended: ended: exited$/m);
});

test("a state whose copies draw the same random numbers is removed at once", async () => {
  const drawn = Buffer.alloc(32, "same");
  let restored = 0;
  const { agent, subject } = await warmAgent(async (machine) => {
    if (machine.options.memory) await beginsWhenTold(machine, ["?", drawn]);
    if (machine.options.memory && ++restored > 1) return; // it gets no task
    await machine.askForTask();
    await machine.upload("result.manifest", resultText());
  });
  await using _ = agent;
  const at = (name: string) => join(subject.paths.bootstrapped, name);
  for (const isThere of [true, false]) {
    assert.equal((await perform(agent, subject)).result.status, "success");
    assert.equal(existsSync(at("warm")), isThere);
  }
});

test("whose state was removed by another copy's task, or made anew, is booted and leaves that as it is", async () => {
  let meanwhile = async () => {};
  const { agent, subject } = await warmAgent((machine) => endsOnceRestored(machine, () => meanwhile()));
  await using _ = agent;
  const { settings } = agent.context;
  const at = (name: string) => join(subject.paths.bootstrapped, name);
  meanwhile = async () => {
    await removeState(subject.paths, 2, "the reason");
    await layState(settings, subject);
  };
  assert.equal((await perform(agent, subject)).result.status, "success");
  assert.ok(existsSync(at("warm/state.json")), "the new one is there");
  meanwhile = () => removeState(subject.paths, 2, "the reason");
  assert.equal((await perform(agent, subject)).result.status, "success");
  assert.equal(readFileSync(at("warm-failure"), "utf8"), "the reason\n");
});

/** A guest that ends by itself when it is restored, before its task, and is well when it is booted. */
async function endsOnceRestored(
  machine: MachineDouble,
  first = async () => {},
  drawn: string | Buffer = "",
): Promise<void> {
  if (!machine.options.memory) return play(machine);
  await beginsWhenTold(machine, ["?", drawn]);
  await first();
  machine.warm!.control.destroy();
  machine.end("exited");
}
