/** Eight null builds at once on two instances with two copies of a machine, beside one alone. */
import { join } from "node:path";
import { startService } from "../../demo/service.ts";
import { startFarm } from "../../fixtures/farm.ts";
import { packSource, script } from "../../worker/sources.ts";
import { said, stored } from "./builds.ts";
import { goal, median } from "./figures.ts";

const together = 8;
const alone = 6;
const instances = 2;

export async function benchTogether(ramKiB: number): Promise<void> {
  const agent = ["--poll-interval", "60", "--machine-copies", String(instances)];
  await using farm = await startFarm({ ahead: true, machine: "minimal", warm: true, ramKiB, agent });
  await packSource(farm.sources, { ".croft/update": script("true") });
  await farm.startAgent();
  await stored(farm, await farm.submit({ name: "hello" }));
  await said(farm, "machine saved", 1);
  const args = await farm.agentArguments(["--instance", "2"]);
  await using _second = startService("agent", args, join(farm.directory, "agent-2.log"));
  const times: number[] = [];
  for (let one = 0; one < alone; one++) times.push(await burst(1));
  const all = await burst(together);
  const allowed = 1.5 * (together / instances) * median(times);
  goal(
    `${together} builds at once, ${instances} instances; one alone ${median(times).toFixed(0)} ms`,
    `${all.toFixed(0)} ms`,
    `≤ ${allowed.toFixed(0)} ms, 1.5 x ${together / instances} x that`,
    all <= allowed,
  );

  /** From the first submission to the last result, in milliseconds. */
  async function burst(count: number): Promise<number> {
    const ids = await Promise.all(Array.from({ length: count }, () => farm.submit({ name: "hello" })));
    const views = await Promise.all(ids.map((id) => stored(farm, id)));
    const [first, last] = [
      Math.min(...views.map(({ createdAt }) => Date.parse(createdAt))),
      Math.max(...views.map(({ finishedAt }) => Date.parse(finishedAt))),
    ];
    return last - first;
  }
}
