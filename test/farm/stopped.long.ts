/** An agent, and a QEMU, that stand still for two minutes while a real guest builds */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { run } from "../../os/run.ts";
import { startFarm, type BuildView, type Farm } from "../fixtures/farm.ts";
import { patienceMs, patienceSeconds } from "../fixtures/patience.ts";
import { packSource, script } from "../worker/sources.ts";

const stillMs = 120_000;

/** Gives each attempt at the build a number, and lets it end when it is told. */
async function startTurns() {
  let turns = 0;
  const released = new Set<string>();
  const server = createServer((request, response) => {
    if (request.url === "/turn") return void response.end(`${++turns}\n`);
    response.writeHead(released.has(request.url!) ? 200 : 404).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const at = `http://10.0.2.2:${(server.address() as AddressInfo).port}`;
  return {
    build: script(
      `turn=$(wget -q -O - ${at}/turn)`,
      'echo "turn $turn begins"',
      `until wget -q -O /dev/null ${at}/$turn; do sleep 1; done`,
      'echo "turn $turn is over"',
    ),
    begun: () => turns,
    release: (turn: number) => released.add(`/${turn}`),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

async function until(wanted: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (; !wanted(); await delay(100)) if (performance.now() > deadline) throw new Error(`no ${what}`);
}

/** Processes of a farm, by their command lines. */
async function processes(pattern: string): Promise<{ pid: number; command: string }[]> {
  const { stdout } = await run(["pgrep", "-a", "-f", pattern], { timeoutSeconds: 60, accept: [1] });
  const lines = stdout.split("\n").filter((line) => line !== "");
  return lines.map((line) => ({ pid: Number.parseInt(line, 10), command: line.replace(/^\d+ /, "") }));
}

async function firstAgent(farm: Farm): Promise<number> {
  const found = (await processes(`agent.*--spool ${farm.spool}`)).filter(
    ({ command }) => !/--instance 2|pgrep/.test(command),
  );
  assert.equal(found.length, 1, JSON.stringify(found));
  return found[0]!.pid;
}

/** The QEMU of the agent. */
async function machineOf(farm: Farm): Promise<number | undefined> {
  const argv = ["pgrep", "-P", String(await firstAgent(farm)), "qemu-system"];
  const { stdout } = await run(argv, { timeoutSeconds: 60, accept: [1] });
  return stdout === "" ? undefined : Number(stdout);
}

const states = ({ attempts }: BuildView) =>
  (attempts as unknown as { state: string }[]).map(({ state }) => state);
const log = (farm: Farm, instance: 1 | 2) =>
  readFileSync(instance === 1 ? farm.agentLog : join(farm.directory, "agent-2.log"), "utf8");

for (const first of [1, 2] as const)
  test(`an agent stands still for two minutes; when it goes on, the result of attempt ${first} comes first, and counts`, async (t) => {
    await using turns = await startTurns();
    await using farm = await startFarm({
      ...{ machine: "minimal", from: "copied", ramKiB: 256 * 1024 },
      ...{ controller: "retries: 0\n", agent: ["--machine-copies", "2"] },
    });
    await packSource(farm.sources, { ".croft/update": turns.build });
    await farm.startAgent();
    const id = await farm.submit({ name: "hello" });
    await until(() => turns.begun() === 1, "build");
    await farm.startSecondAgent([]);
    const pid = await firstAgent(farm);
    const began = performance.now();
    process.kill(pid, "SIGSTOP");
    await until(() => turns.begun() === 2, "build by the other agent");
    const seconds = (performance.now() - began) / 1000;
    t.diagnostic(`the build began with another agent ${seconds.toFixed(0)} s after its own stood still`);
    await delay(Math.max(0, stillMs - seconds * 1000));
    process.kill(pid, "SIGCONT");
    turns.release(first);
    const view = await farm.ended(id, 2 * patienceSeconds);
    assert.equal(view.status, "success");
    assert.deepEqual(states(view), first === 1 ? ["finished", "superseded"] : ["superseded", "finished"]);
    const text = await farm.log(id);
    assert.match(text, new RegExp(`^turn ${first} is over$`, "m"));
    assert.doesNotMatch(text, new RegExp(`^turn ${3 - first} is over$`, "m"));
    const loser = first === 1 ? 2 : 1;
    await until(
      () => /task given up: nobody waits for its result any more/.test(log(farm, loser)),
      "word to it",
    );
    // It takes other work.
    turns.release(3);
    await farm.stopAgent();
    await farm.startAgent();
    assert.equal((await farm.ended(await farm.submit({ name: "hello" }))).status, "success");
    await farm.stopAgent();
    assert.deepEqual(readdirSync(join(farm.spool, "default-1")), ["lock"]);
  });

test("a QEMU stands still for two minutes: its build goes on after that, and is built once", async () => {
  await using turns = await startTurns();
  await using farm = await startFarm({
    ...{ machine: "minimal", from: "kept", ramKiB: 256 * 1024 },
    controller: "retries: 0\n",
  });
  await packSource(farm.sources, { ".croft/update": turns.build });
  await farm.startAgent();
  const id = await farm.submit({ name: "hello" });
  await until(() => turns.begun() === 1, "build");
  const machine = await machineOf(farm);
  process.kill(machine!, "SIGSTOP");
  turns.release(1);
  await delay(stillMs);
  assert.equal((await farm.view(id)).state, "building");
  process.kill(machine!, "SIGCONT");
  const view = await farm.ended(id);
  assert.deepEqual([view.status, states(view)], ["success", ["finished"]]);
  assert.match(await farm.log(id), /^turn 1 is over$/m);
});

test("a build whose QEMU stands still can be cancelled", async (t) => {
  await using turns = await startTurns();
  await using farm = await startFarm({
    ...{ machine: "minimal", from: "kept", ramKiB: 256 * 1024 },
    controller: "retries: 0\n",
  });
  await packSource(farm.sources, { ".croft/update": turns.build });
  await farm.startAgent();
  const id = await farm.submit({ name: "hello" });
  await until(() => turns.begun() === 1, "build");
  const machine = await machineOf(farm);
  process.kill(machine!, "SIGSTOP");
  const began = performance.now();
  await fetch(`${farm.url}/api/v1/builds/${id}/cancel`, { method: "POST" });
  for (; (await machineOf(farm)) !== undefined; await delay(50))
    assert.ok(performance.now() - began < patienceMs, "it still runs");
  t.diagnostic(
    `its machine was gone ${((performance.now() - began) / 1000).toFixed(1)} s after the cancellation`,
  );
});
