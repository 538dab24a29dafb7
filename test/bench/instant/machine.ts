/** What a task in one machine takes: booted, restored, restored ahead; and what it could take at least. */
import { startFarm, type FarmOptions } from "../../fixtures/farm.ts";
import { restoreCopies } from "../../fixtures/machines/restored.ts";
import { packSource, script } from "../../worker/sources.ts";
import { taskPhases } from "../../../agent/status/task-phases.ts";
import { measureBuilds, programsInGuest } from "./builds.ts";
import { goal, line, median, show } from "./figures.ts";

/** How many times sooner the worker's first word comes than after a boot. */
const timesSooner = { minimal: 15, debian: 25 };

export async function benchMachine(
  machine: FarmOptions["machine"],
  builds: number,
  ramKiB: number,
): Promise<void> {
  await using farm = await startFarm({
    ...{ ahead: true, machine, warm: true, ramKiB },
    agent: ["--poll-interval", "60"],
  });
  await packSource(farm.sources, { ".croft/update": script("true") });
  const cold = await measureBuilds(farm, builds, ["--no-warm"]);
  const warm = await measureBuilds(farm, builds, ["--ahead", "off"]);
  const ahead = await measureBuilds(farm, builds, []);
  const copies = await restoreCopies(farm, { count: builds, cpus: 1, ramKiB });
  const floor = copies.map(({ milliseconds }) => milliseconds);
  const guest = await programsInGuest(farm);
  process.stdout.write(
    `\n${machine}, ${ramKiB / 1024} MiB, ${builds} null builds each, in ms: median (p90)\n`,
  );
  line("", "booted", "restored", "ahead");
  for (const what of ["submitted to given", "submitted to stored", ...taskPhases, "agent in all"])
    line(what, ...[cold, warm, ahead].map((figures) => show(figures.get(what))));
  line("floor: QEMU restored until the guest answers", "", show(floor));
  for (const [what, cost] of guest) line(`in the guest: ${what}`, "", cost.toFixed(0));
  const [best, first] = ["submitted to stored", "start"].map((what) => ({
    ...{ cold: median(cold.get(what)), warm: median(warm.get(what)), ahead: median(ahead.get(what)) },
  })) as [Medians, Medians];
  const allowed = median(floor) + 3 * guest.reduce((sum, [, cost]) => sum + cost, 0);
  for (const how of ["warm", "ahead"] as const) {
    const took = best[how];
    goal(`${machine}, ${how}: submitted to stored`, ms(took), "≤ 1500 ms", took <= 1500);
    const wanted = `≤ ${ms(allowed)}, the floor and three times the programs`;
    goal(`${machine}, ${how}: submitted to stored`, ms(took), wanted, took <= allowed);
  }
  const times = first.cold / first.warm;
  const wanted = timesSooner[machine];
  goal(
    `${machine}: first word sooner than booted`,
    `${times.toFixed(1)} times`,
    `≥ ${wanted}`,
    times >= wanted,
  );
  goal(`${machine}, ahead: given to first word`, ms(first.ahead), "≤ 100 ms", first.ahead <= 100);
  goal(`${machine}, on demand: given to first word`, ms(first.warm), "≤ 400 ms", first.warm <= 400);
}

interface Medians {
  cold: number;
  warm: number;
  ahead: number;
}

function ms(value: number): string {
  return `${value.toFixed(0)} ms`;
}
