/** One machine and several instances: its copies. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { patienceSeconds } from "../fixtures/patience.ts";
import { until, SoakFarm, type BuildView } from "./farm.ts";
import { Random } from "./random.ts";

/** What a build's log tells of where it ran. */
interface Place {
  revision: string;
  /** Of this one boot of a machine. */
  bootId: string;
}

/** Builds that wait for one another: each of them has a copy of the machine, or none comes to its end. */
export async function buildAtOnce(
  farm: SoakFarm,
  count: number,
): Promise<{ places: Place[]; holders: Map<string, number> }> {
  const controller = farm.controllers[0]!;
  const names = Array.from({ length: count }, (_, index) => `at-once-${index}`);
  const ids: number[] = [];
  const met = Promise.withResolvers<Map<string, number>>();
  const begun = new Set<string>();
  farm.sources.meet(count);
  farm.sources.events.on("begun", (name) => {
    if (begun.add(name).size === count) met.resolve(holdersOf(farm)); // they are told to go on after this
  });
  for (const name of names) {
    await farm.sources.add(name);
    ids.push(await farm.submit(controller, name));
  }
  const places: Place[] = [];
  for (const id of ids) places.push(await placeOf(farm, id, 1));
  assert.equal(new Set(places.map(({ bootId }) => bootId)).size, count, "each has a machine of its own");
  return { places, holders: await met.promise };
}

/** Pids in the locks of the machine's copies, by the lock's name. */
function holdersOf(farm: SoakFarm): Map<string, number> {
  const home = join(farm.machines, "volume", "m1");
  const locks = readdirSync(home).filter((name) => name.endsWith(".lock"));
  const held = locks.map((name) => [name, readFileSync(join(home, name), "utf8")] as const);
  return new Map(held.flatMap(([name, text]) => (text === "" ? [] : [[name, Number(text.split(" ")[0])]])));
}

/** Waits until a build has succeeded. */
async function placeOf(farm: SoakFarm, id: number, attempts?: number): Promise<Place> {
  const controller = farm.controllers[0]!;
  let view: BuildView | undefined;
  const ended = async () => {
    view = await farm.view(controller, id);
    return !["queued", "building"].includes(view.state);
  };
  await until(ended, `the end of build ${id}`, 2 * patienceSeconds);
  const log = await farm.buildLog(controller, id);
  assert.equal(view!.status, "success", log);
  if (attempts !== undefined) assert.equal(view!.attempts.length, attempts);
  const [, revision] = / revision=(\S+)/.exec(log) ?? [];
  const [bootId] = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/m.exec(log) ?? [];
  assert.ok(revision !== undefined && bootId !== undefined, log);
  return { revision, bootId };
}

/**
 * Builds on one machine, as many at a time as there are instances; in the middle of it a new revision of the machine is
 * published, and machines and agents are killed at random.
 *
 * @returns a line of figures.
 */
export async function buildOnCopies(options: {
  instances: number;
  builds: number;
  kills: number;
  seed: number;
}): Promise<string> {
  const { instances, builds, kills, seed } = options;
  const random = new Random(seed);
  await using farm = await SoakFarm.make({
    machines: 1,
    instances,
    priorities: ["0100"],
    configuration: "retries: 100\nlease-margin: 60\ntargets: [{name: any, timeout: 240}]\n",
    agent: ["--machine-copies", "auto", "--instance-max", String(instances), "--request-retries", "1"],
  });
  const controller = farm.controllers[0]!;
  const began = Date.now();
  for (const agent of farm.agents) agent.start();
  const { places } = await buildAtOnce(farm, instances);
  const submit = async (name: string) => {
    await farm.sources.add(name, 2);
    return farm.submit(controller, name);
  };
  const before: number[] = [];
  for (let number = instances; number < builds - instances; number++)
    before.push(await submit(`build${number}`));
  await until(() => farm.sources.count("begun", `build${instances}`) > 0, "a build of the second round", 900);
  const killed: string[] = [];
  for (let kill = 0; kill < kills; kill++) killed.push(await killOne(farm, random));
  const revision = await farm.publish("m1");
  const after: number[] = [];
  for (let number = 0; number < instances; number++) after.push(await submit(`new${number}`));
  for (const id of before) places.push(await placeOf(farm, id));
  const late: Place[] = [];
  for (const id of after) late.push(await placeOf(farm, id));
  assert.deepEqual([...new Set(late.map((place) => place.revision))], [revision]);
  const all = [...places, ...late];
  assert.equal(new Set(all.map(({ bootId }) => bootId)).size, all.length, "each has a machine of its own");
  for (const agent of farm.agents) assert.equal(await agent.end("SIGTERM"), 0);
  assert.deepEqual(await farm.leftovers(), []);
  const seconds = Math.round((Date.now() - began) / 1000);
  return `${all.length} builds on one machine by ${instances} instances in ${seconds} s; killed: ${killed.join(", ")}; seed ${seed}`;
}

/** Kills an agent or a machine, and starts it again. */
async function killOne(farm: SoakFarm, random: Random): Promise<string> {
  await delay(random.next() * 5000);
  const index = Math.floor(random.next() * farm.agents.length);
  const machine = farm.machineOf(index + 1);
  if (machine !== undefined && random.next() < 0.5) {
    process.kill(machine, "SIGKILL");
    return `machine ${index + 1}`;
  }
  await farm.agents[index]!.end("SIGKILL");
  farm.agents[index]!.start();
  return `agent ${index + 1}`;
}
