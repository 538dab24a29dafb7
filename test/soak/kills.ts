/**
 * Agents, their machines and the controller are killed at random moments of running builds, and started again. What
 * must hold in the end: each build has exactly one result, none that was complete was lost, nothing is left behind.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { CroftProcess } from "./croft-process.ts";
import { SoakFarm, until, type SoakController } from "./farm.ts";
import { Accounts } from "./kill-accounts.ts";
import { Random } from "./random.ts";

/** Something is killed at most so long after a build began, told that it is done, or its result has arrived. */
const windowSeconds = { begun: 6, done: 3, uploaded: 0.4 };

export interface KillOptions {
  rounds: number;
  seed: number;
  machines: number;
  instances: number;
  /** Told about each round. */
  onRound?: (line: string) => void;
}

interface Submitted {
  id: number;
  name: string;
}

type Victim = "agent" | "machine" | "controller" | "agent and controller";

/** @returns the figures, as lines. */
export async function killAtRandom({
  rounds,
  seed,
  machines,
  instances,
  onRound,
}: KillOptions): Promise<string[]> {
  const random = new Random(seed);
  const start = Date.now();
  await using farm = await SoakFarm.make({
    machines,
    instances,
    priorities: ["0100"],
    // A session that died before the agent could write it down ends with its lease only.
    configuration: "retries: 100\nlease-margin: 60\ntargets: [{name: any, timeout: 120}]\n",
    agent: ["--request-retries", "1"],
  });
  const controller = farm.controllers[0]!;
  const submitted: Submitted[] = [];
  const accounts = new Accounts(farm);
  for (const agent of farm.agents) agent.start();
  for (let round = 1; round <= rounds; round++) {
    await refill(farm, controller, submitted);
    const moment = await theMoment(farm, random);
    const victim = await kill(farm, controller, { random, accounts, near: moment.instance });
    onRound?.(`${round}: ${victim}, ${moment.text}`);
  }
  for (const { id, name } of submitted)
    await until(
      async () => (await farm.view(controller, id)).state === "finished",
      `the end of ${name}`,
      900,
    );
  await until(() => spoolsAreEmpty(farm), "all results to be accepted", 120);
  for (const agent of farm.agents) assert.equal(await agent.end("SIGTERM"), 0);
  const views = [];
  for (const { id } of submitted) views.push(await farm.view(controller, id));
  const figures = accounts.settle(views);
  assert.deepEqual(await farm.leftovers(), []);
  const minutes = ((Date.now() - start) / 60_000).toFixed(1);
  return [`${rounds} rounds with seed ${seed} in ${minutes} minutes`, ...figures];
}

async function refill(farm: SoakFarm, controller: SoakController, submitted: Submitted[]): Promise<void> {
  // Builds that wait or run, so that every kill meets one.
  const backlog = 2 * farm.agents.length;
  const views = [];
  for (const { id } of submitted.slice(-2 * backlog)) views.push(await farm.view(controller, id));
  for (let open = views.filter(({ state }) => state !== "finished").length; open < backlog; open++) {
    const name = `build${submitted.length}`;
    await farm.sources.add(name, 1);
    submitted.push({ id: await farm.submit(controller, name), name });
  }
}

interface Moment {
  text: string;
  /** Whose result has just arrived. */
  instance?: number;
}

/** Waits for a moment of a build that nobody could choose. */
async function theMoment(farm: SoakFarm, random: Random): Promise<Moment> {
  const what = random.pick(["begun", "done", "uploaded"] as const);
  const seconds = random.next() * windowSeconds[what];
  const text = `${seconds.toFixed(2)} s after ${what === "uploaded" ? "a result had" : "a build had"} ${what}`;
  if (what === "uploaded") {
    const instance = await resultArrives(farm);
    await delay(seconds * 1000);
    return { text, instance };
  }
  const happened = Promise.withResolvers<void>();
  farm.sources.events.once(what, () => happened.resolve());
  const late = setTimeout(() => happened.reject(new Error(`no build has ${what} for 300 s`)), 300_000);
  await happened.promise.finally(() => clearTimeout(late));
  await delay(seconds * 1000);
  return { text };
}

/** The instance whose machine has sent its result; it is there for a moment only. */
async function resultArrives(farm: SoakFarm): Promise<number> {
  for (const deadline = Date.now() + 300_000; Date.now() < deadline; await delay(2))
    for (let instance = 1; instance <= farm.agents.length; instance++)
      if (existsSync(farm.at("tftp", "build", `default-${instance}`, "put", "result.manifest.lz4")))
        return instance;
  throw new Error("no result has arrived for 300 s");
}

async function kill(
  farm: SoakFarm,
  controller: SoakController,
  { random, accounts, near }: { random: Random; accounts: Accounts; near: number | undefined },
): Promise<Victim> {
  const victim = random.pick<Victim>(["agent", "agent", "machine", "controller", "agent and controller"]);
  accounts.killed(victim);
  const instances = farm.agents.length;
  const any = Math.floor(random.next() * instances);
  const index = near === undefined ? any : near - 1;
  const downSeconds = random.next() * 2;
  if (victim === "machine") {
    const running = [index + 1, instances - index].map((one) => farm.machineOf(one)).find(Boolean);
    // Between two builds there is none: then the kill meets nobody, which is counted.
    if (running === undefined) accounts.missed();
    else process.kill(running, "SIGKILL");
    return victim;
  }
  const victims: CroftProcess[] = [];
  if (victim !== "controller") victims.push(farm.agents[index]!);
  if (victim !== "agent") victims.push(controller.process);
  await Promise.all(victims.map((one) => one.end("SIGKILL")));
  if (victim !== "controller") await accounts.noteDead(index + 1);
  await delay(downSeconds * 1000);
  for (const one of victims) one.start();
  if (victim !== "agent")
    await until(
      () =>
        fetch(`${controller.url}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        ),
      "the controller to be ready again",
      120,
    );
  return victim;
}

function spoolsAreEmpty(farm: SoakFarm): boolean {
  return farm.agents.every((_, index) => {
    const spool = farm.at("spool", `default-${index + 1}`);
    return !existsSync(spool) || readdirSync(spool).every((name) => !/^\d{8}T/.test(name));
  });
}
