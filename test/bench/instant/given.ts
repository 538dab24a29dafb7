/** From submission to an agent that waits, whose builds take no time. */
import { makeFarm, submit } from "../../controller/farm.ts";
import { simulateAgent } from "../../fixtures/simulated-agent.ts";
import { at, goal, median } from "./figures.ts";

export async function benchGiven(submissions: number): Promise<void> {
  await using farm = await makeFarm("targets: [{ name: idle, machine: idle }]\n");
  const { url } = await farm.start();
  const end = new AbortController();
  let [given, waits] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const agent = simulateAgent(
    {
      ...{ name: "host", machine: "idle", urls: [url] },
      given: () => given.resolve(),
      waits: () => waits.resolve(),
    },
    end.signal,
  );
  const times: number[] = [];
  for (let number = 0; number < submissions; number++) {
    await waits.promise;
    [given, waits] = [Promise.withResolvers(), Promise.withResolvers()];
    const began = performance.now();
    await submit(url, { targets: ["idle"] });
    await given.promise;
    times.push(performance.now() - began);
  }
  end.abort();
  await agent;
  const p99 = at(times, 0.99);
  goal(
    `queued to given, ${submissions} fake builds: median; p99`,
    `${median(times).toFixed(0)}; ${p99.toFixed(0)} ms`,
    "p99 ≤ 100 ms",
    p99 <= 100,
  );
}
