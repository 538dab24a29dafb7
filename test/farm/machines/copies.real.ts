/** Copies of one machine, with real guests; how often, and what else may happen meanwhile, is the long part's. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { shellHolding } from "../../machines/shell-holding.ts";
import { SoakFarm } from "../../soak/farm.ts";
import { buildAtOnce } from "../../soak/copies.ts";

test("one machine, 2 instances: 2 builds run at the same time, and a shell that holds M-T.lock holds copy 1 only", async () => {
  await using farm = await SoakFarm.make({
    machines: 1,
    instances: 2,
    priorities: ["0100"],
    configuration: "retries: 0\n",
    agent: ["--machine-copies", "3", "--no-warm"],
  });
  await using _shell = await shellHolding(join(farm.machines, "volume", "m1", "m1-default.lock"));
  for (const agent of farm.agents) agent.start();
  const { holders } = await buildAtOnce(farm, 2);
  const pids = farm.agents.map(({ pid }) => pid).sort();
  assert.deepEqual(holders.get("m1-default.lock"), undefined, "the shell writes nothing");
  assert.deepEqual([holders.get("m1-default-2.lock"), holders.get("m1-default-3.lock")].sort(), pids);
  for (const agent of farm.agents) assert.equal(await agent.end("SIGTERM"), 0);
  assert.deepEqual(await farm.leftovers(), []);
});
