/** Four instances on six machines, two controllers, and new revisions of the machines in the middle of the work. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { until, SoakFarm, type BuildView, type SoakController } from "./farm.ts";

interface Submitted {
  controller: SoakController;
  id: number;
  name: string;
  /** The revision it must be built on. */
  revision?: string;
}

/** @returns a line of figures. */
export async function buildWithInstances(
  builds: number,
  { machines, instances }: { machines: number; instances: number },
): Promise<string> {
  await using farm = await SoakFarm.make({
    machines,
    instances,
    priorities: ["0200", "0010"],
    configuration: "retries: 0\n",
  });
  const start = Date.now();
  const submitted: Submitted[] = [];
  const submit = async (controller: SoakController, machine?: string, revision?: string) => {
    const name = `build${submitted.length}`;
    await farm.sources.add(name);
    const id = await farm.submit(controller, name, machine);
    submitted.push({ controller, id, name, ...(revision === undefined ? {} : { revision }) });
  };
  const [high, low] = farm.controllers as [SoakController, SoakController];
  // The last ones are for the new revisions, one for each machine.
  const first = builds - machines;
  for (let count = 0; count < first; count++) await submit(count < first / 2 ? high : low);
  for (const agent of farm.agents) agent.start();

  await until(() => doneOf(farm, submitted) >= first / 3, "a third of the builds", 900);
  const revisions: string[] = [];
  for (let number = 1; number <= machines; number++) revisions.push(await farm.publish(`m${number}`));
  const upgradedAfter = doneOf(farm, submitted);
  for (const [index, revision] of revisions.entries())
    await submit(index % 2 === 0 ? high : low, `m${index + 1}`, revision);

  const views: BuildView[] = [];
  for (const one of submitted) views.push(await finished(farm, one));
  for (const agent of farm.agents) assert.equal(await agent.end("SIGTERM"), 0);
  const seconds = Math.round((Date.now() - start) / 1000);
  await check(farm, submitted, views, revisions);
  assert.deepEqual(await farm.leftovers(), []);
  const used = new Set(views.map(({ attempts }) => attempts[0]!.machine)).size;
  return `${builds} builds on ${used} machines by ${instances} instances in ${seconds} s, upgraded after ${upgradedAfter}`;
}

function doneOf(farm: SoakFarm, submitted: readonly Submitted[]): number {
  return submitted.filter(({ name }) => farm.sources.count("done", name) > 0).length;
}

async function finished(farm: SoakFarm, { controller, id, name }: Submitted): Promise<BuildView> {
  let view = await farm.view(controller, id);
  const ended = async () => {
    view = await farm.view(controller, id);
    return !["queued", "building"].includes(view.state);
  };
  await until(ended, `the end of ${name}`, 900);
  return view;
}

async function check(
  farm: SoakFarm,
  submitted: readonly Submitted[],
  views: readonly BuildView[],
  revisions: readonly string[],
): Promise<void> {
  for (const [index, view] of views.entries()) {
    const { controller, id, name, revision } = submitted[index]!;
    const log = await farm.buildLog(controller, id);
    assert.equal(view.status, "success", log);
    assert.deepEqual(
      view.attempts.map(({ state, status }) => [state, status]),
      [["finished", "success"]],
      name,
    );
    assert.deepEqual([farm.sources.count("begun", name), farm.sources.count("done", name)], [1, 1], name);
    const machine = view.attempts[0]!.machine;
    assert.match(log, new RegExp(` revision=${machine}-1\\.[12]\\b`), name);
    if (revision !== undefined) assert.match(log, new RegExp(` revision=${revision}\\b`), name);
  }
  for (const [index, revision] of revisions.entries()) {
    const manifest = join(farm.machines, "volume", `m${index + 1}`, `m${index + 1}-default`, "manifest");
    assert.match(readFileSync(manifest, "utf8"), new RegExp(`^id: ${revision}$`, "m"));
  }
  for (const agent of farm.agents) {
    const records = farm.records(agent);
    const named = (message: string) => records.filter(({ msg }) => msg === message).length;
    assert.equal(named("result accepted"), named("task received"), agent.name);
    assert.ok(named("task received") > 0, `${agent.name} had nothing to do`);
  }
  checkOrder(views.slice(0, -revisions.length), submitted);
  for (const instance of readdirSync(farm.at("spool")))
    assert.ok(!readdirSync(farm.at("spool", instance)).includes("rejected"));
}

/** While the controller of higher priority had builds, the other one's waited. */
function checkOrder(views: readonly BuildView[], submitted: readonly Submitted[]): void {
  const times = (url: string) =>
    views
      .filter((_, index) => submitted[index]!.controller.url === url)
      .map(({ attempts }) => Date.parse(attempts[0]!.startedAt));
  const [high, low] = [...new Set(submitted.map(({ controller }) => controller.url))];
  assert.ok(Math.max(...times(high!)) <= Math.min(...times(low!)), "the lower priority went first");
}
