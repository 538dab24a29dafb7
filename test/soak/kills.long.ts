/** Agents, machines and the controller killed at 50 random moments */
import { test } from "node:test";
import { killAtRandom } from "./kills.ts";

/** Repeats who is killed and when, counted from what a build does; not the host's timing. */
const seed = Number(process.env["CROFT_SOAK_SEED"] ?? Date.now() % 1_000_000);
const rounds = Number(process.env["CROFT_SOAK_ROUNDS"] ?? 50);

test(`${rounds} random kills, seed ${seed}`, async (t) => {
  const onRound = (line: string) => process.stderr.write(`${line}\n`);
  for (const line of await killAtRandom({ rounds, seed, machines: 3, instances: 2, onRound }))
    t.diagnostic(line);
});
