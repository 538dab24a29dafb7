/** Bootstraps line by line (machines.md): every end that a boot may come to, in the order that the test says. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { bootstrapMachine } from "../../../agent/performing/bootstrap.ts";
import { Interrupted } from "../../../agent/task-state/interruption.ts";
import type { Settings } from "../../../agent/settings/settings.ts";
import type { PendingBootstrap } from "../../../machines/enumeration/pending-bootstrap.ts";
import { machineManifest } from "../../machines/farm.ts";
import { agentDouble, type AgentDouble, type MachineDouble } from "./machine-double.ts";

const good = ": 1\ncroft-version: 1.2.0\n";
const never = new AbortController().signal;

/** The machine that is to be bootstrapped, locked. */
async function pendingOf(agent: AgentDouble): Promise<PendingBootstrap> {
  return agent.farm.enumerate((found, lock) => {
    found.pending!.lock.write(lock);
    return found.takePending();
  });
}

async function bootstrap(
  play: (machine: MachineDouble, attempt: number) => Promise<void> | void,
  changes: Partial<Settings> = {},
  manifest?: string,
) {
  const agent = await agentDouble(play, changes, manifest);
  const pending = await pendingOf(agent);
  const result = await bootstrapMachine(agent.context, pending, never);
  await pending[Symbol.asyncDispose]();
  const names = await agent.farm.names("m");
  const errors = agent.farm.records("error");
  await agent[Symbol.asyncDispose]();
  const { machines } = agent;
  assert.ok(machines.every(({ calls }) => calls.at(-1) === "gone"));
  return { result, machines, names, errors, isPublished: names.includes("m-gcc") };
}

/** A guest that does as it should, with its manifest under a name. */
function goodGuest(name = "bootstrap.manifest") {
  return async (machine: MachineDouble) => {
    await machine.askForTask("worker");
    await machine.upload(name, good);
  };
}

for (const name of ["bootstrap.manifest", "manifest"])
  test(`the manifest arrives as ${name}, the power button is pressed, and the machine is published`, async () => {
    const { result, machines, isPublished } = await bootstrap(goodGuest(name));
    assert.deepEqual([result, isPublished], [true, true]);
    assert.deepEqual(machines[0]!.calls, ["shutdown 300", "gone"]);
  });

test("a machine that ends before its first sign of life has failed: no retry, no suspension", async () => {
  const { result, machines, errors } = await bootstrap((machine) => machine.end("shutdown"));
  assert.deepEqual([result, machines.length, machines[0]!.calls], [false, 1, ["gone"]]);
  assert.equal(errors[0]!["msg"], "machine ended before its first sign of life");
});

test("a silent machine is forced down and started again as often as told, then held until the operator ends it", async () => {
  const { result, machines, names, errors } = await bootstrap(
    (machine, attempt) => {
      if (attempt === 3) void machine.untilHeld().then(() => machine.end("exited"));
    },
    { startupTimeoutSeconds: { bootstrap: 0.05, build: 5 }, bootstrapRetries: 2 },
  );
  assert.equal(result, false);
  assert.deepEqual(
    machines.map(({ calls }) => calls),
    [["gone"], ["gone"], ["suspend", "gone"]],
  );
  assert.deepEqual(names, ["m-1", "m-1.1", "m-gcc.lock"]);
  assert.match(String(errors[0]!["reason"]), /^no sign of life within 0.05 s, no retry left$/);
  assert.match(
    String(errors[0]!["commands"]),
    /^croft machine console m --toolchain-name gcc --runtime \S+\n/,
  );
});

test("a machine that ends before its manifest has failed, and one that has sent it has not", async () => {
  const before = await bootstrap(async (machine) => {
    await machine.askForTask("worker");
    machine.end("panic");
  });
  assert.deepEqual([before.result, before.isPublished, before.machines[0]!.calls], [false, false, ["gone"]]);
  const after = await bootstrap(async (machine) => {
    await goodGuest()(machine);
    machine.end("shutdown");
  });
  assert.deepEqual([after.result, after.isPublished], [true, true]);
});

test("no manifest in time: held; resumed by the operator it runs on until it ends", async () => {
  const { result, machines } = await bootstrap(
    async (machine) => {
      await machine.showSignOfLife("worker");
      await machine.untilHeld();
      machine.resumeByOperator();
      // What it sends now is no bootstrap: nobody listens any more.
      const socket = createSocket("udp4").bind(machine.tftpPort, "127.0.0.1");
      await once(socket, "listening");
      socket.close();
      machine.end("shutdown");
    },
    { bootstrapTimeoutSeconds: 0.1 },
  );
  assert.deepEqual([result, machines[0]!.calls], [false, ["suspend", "gone"]]);
});

test("a machine that does not shut down is held", async () => {
  const { result, machines, isPublished } = await bootstrap(async (machine) => {
    machine.onPowerButton = () => {};
    await goodGuest()(machine);
    await machine.untilHeld();
    machine.end("exited");
  });
  assert.deepEqual([result, isPublished], [false, false]);
  assert.deepEqual(machines[0]!.calls, ["shutdown 300", "suspend", "gone"]);
});

test("with --no-suspend it is powered off, and its console kept", async () => {
  const { result, machines, errors } = await bootstrap(
    async (machine) => {
      await machine.askForTask("worker");
      await machine.upload("bootstrap.manifest", "nonsense\n");
    },
    { suspend: false },
  );
  assert.deepEqual([result, machines[0]!.calls], [false, ["gone"]]);
  assert.match(String(errors[0]!["reason"]), /bootstrap\.manifest:1:9: /);
});

test("while it is held, the lock says that it is not to be interrupted; the end of the agent ends the machine", async () => {
  await using agent = await agentDouble((machine) => machine.showSignOfLife("worker"), {
    bootstrapTimeoutSeconds: 0.1,
  });
  await using pending = await pendingOf(agent);
  const stop = new AbortController();
  const result = bootstrapMachine(agent.context, pending, stop.signal);
  while (agent.machines.length === 0) await new Promise((resolve) => setImmediate(resolve));
  await agent.machines[0]!.untilHeld();
  const note = join(agent.context.settings.runtime, "suspended.json");
  while (!existsSync(note)) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(readFileSync(pending.paths.lock, "utf8"), String(process.pid));
  while (agent.context.status.activity.phase !== "suspended")
    await new Promise((resolve) => setImmediate(resolve));
  stop.abort(new Interrupted("the agent was stopped"));
  await assert.rejects(result, Interrupted);
  assert.deepEqual(agent.machines[0]!.calls, ["suspend", "gone"]);
  assert.equal(existsSync(note), false);
});

test("the MAC address: the manifest's, else that of the bootstrap before, else a local one at random", async () => {
  const own = "52:54:00:00:00:07";
  const fixed = await bootstrap(goodGuest(), {}, machineManifest("m", "m-1", `mac: ${own}\n`));
  assert.equal(fixed.machines[0]!.options.mac, own);
  await using agent = await agentDouble(goodGuest());
  for (const expected of [/^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/, undefined]) {
    {
      await using pending = await pendingOf(agent);
      assert.equal(await bootstrapMachine(agent.context, pending, never), true);
    }
    const [first, second] = agent.machines.map(({ options }) => options.mac);
    if (expected) assert.match(first!, expected);
    else assert.equal(second, first);
    await agent.farm.publish("m");
  }
});
