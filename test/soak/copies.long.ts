/** One machine, 4 instances: 12 builds four at a time, the machine upgraded in the middle, agents and machines killed */
import { test } from "node:test";
import { buildOnCopies } from "./copies.ts";

const seed = Number(process.env["CROFT_SOAK_SEED"] ?? Date.now() % 1_000_000);

test(`one machine, 4 instances: 12 builds, 4 at a time, upgraded in the middle, 3 random kills, seed ${seed}`, async (t) => {
  t.diagnostic(await buildOnCopies({ instances: 4, builds: 12, kills: 3, seed }));
});
