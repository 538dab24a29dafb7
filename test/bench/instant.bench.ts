/**
 * A null build (a small archive whose `.croft/update` is `true`) on an idle farm: how long it takes from its submission to its
 * stored result, with a machine that is booted, one that is restored, and one that was restored ahead, and where the time
 * goes. Beside it the floor: QEMU restored without an agent, until the guest answers, and what programs cost in that guest.
 * Then how soon a build is given, many at once, and what an idle agent costs.
 * CROFT_BENCH_BUILDS: how many of each, default 20. CROFT_BENCH_MACHINES: which, default "minimal debian".
 * CROFT_BENCH_SUBMISSIONS: how many fake builds, default 1000.
 */
import type { FarmOptions } from "../fixtures/farm.ts";
import { benchGiven } from "./instant/given.ts";
import { benchIdle } from "./instant/idle.ts";
import { benchMachine } from "./instant/machine.ts";
import { benchTogether } from "./instant/together.ts";

const builds = Number(process.env["CROFT_BENCH_BUILDS"] ?? 20);
const machines = (process.env["CROFT_BENCH_MACHINES"] ?? "minimal debian").split(" ").filter(Boolean);
const submissions = Number(process.env["CROFT_BENCH_SUBMISSIONS"] ?? 1000);
const ramKiB = { minimal: 262_144, debian: 1_048_576 };

export default async function bench(): Promise<void> {
  for (const machine of machines as FarmOptions["machine"][])
    await benchMachine(machine, builds, ramKiB[machine]);
  await benchGiven(submissions);
  await benchTogether(ramKiB.minimal);
  await benchIdle(ramKiB.minimal);
}
