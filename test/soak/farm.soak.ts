/**
 * `npm run soak`: what takes too long for every run. `CROFT_SOAK_SEED` repeats a run's random decisions (its time does
 * not repeat), `CROFT_SOAK_ROUNDS` says how often something is killed.
 */
import { test } from "node:test";
import { buildWithInstances } from "./instances.ts";
import { killAtRandom } from "./kills.ts";
import { outage } from "./outage.ts";

const seed = Number(process.env["CROFT_SOAK_SEED"] ?? Date.now() % 1_000_000);
const rounds = Number(process.env["CROFT_SOAK_ROUNDS"] ?? 50);

test(`${rounds} random kills, seed ${seed}`, async (t) => {
  const onRound = (line: string) => process.stderr.write(`${line}\n`);
  for (const line of await killAtRandom({ rounds, seed, onRound })) t.diagnostic(line);
});

test("a controller that is down for a minute at the moment of the result", async (t) => {
  t.diagnostic(await outage(60));
});

test("4 instances, 6 machines, 2 controllers: 40 builds, each exactly once, with machines upgraded in the middle", async (t) => {
  t.diagnostic(await buildWithInstances(40));
});
