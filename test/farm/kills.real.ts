import { test } from "node:test";
import { killAtRandom } from "../soak/kills.ts";

test("an agent, its machine or the controller killed at random: no result is lost, none comes twice, nothing is left", async (t) => {
  const seed = Number(process.env["CROFT_SOAK_SEED"] ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  for (const line of await killAtRandom({ rounds: 1, seed, machines: 1, instances: 1 })) t.diagnostic(line);
});
