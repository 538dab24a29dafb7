import { test } from "node:test";
import { killAtRandom } from "../soak/kills.ts";

test("agents, machines and the controller killed at random: no result is lost, none comes twice, nothing is left", async (t) => {
  const seed = Number(process.env["CROFT_SOAK_SEED"] ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  for (const line of await killAtRandom({ rounds: 3, seed })) t.diagnostic(line);
});
