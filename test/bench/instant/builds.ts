/** Null builds, one after the other, and what they and programs cost in their machine. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { taskPhases } from "../../../agent/status/task-phases.ts";
import type { Farm } from "../../fixtures/farm.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { packSource, script } from "../../worker/sources.ts";
import { note, type Figures } from "./figures.ts";

/** How often a program is run in the guest. */
const programs = 20;

export type Times = Record<"createdAt" | "startedAt" | "finishedAt", string>;

/** By an agent that is idle and waits to be woken. */
export async function measureBuilds(
  farm: Farm,
  builds: number,
  options: readonly string[],
): Promise<Figures> {
  await farm.startAgent(options);
  const figures: Figures = new Map();
  await build(farm); // bootstraps the machine
  if (options.includes("off")) await said(farm, "machine saved", 1);
  const before = (await phasesOf(farm, 1)).length;
  for (let one = 0; one < builds; one++) {
    if (options.length === 0) await said(farm, "a copy is kept ahead", before + one);
    await sleep(1000); // until it waits
    const { createdAt, startedAt, finishedAt } = await build(farm);
    note(figures, "submitted to given", Date.parse(startedAt) - Date.parse(createdAt));
    note(figures, "submitted to stored", Date.parse(finishedAt) - Date.parse(createdAt));
    const phases = (await phasesOf(farm, before + one + 1)).at(-1)!;
    for (const phase of taskPhases) if (phase in phases) note(figures, phase, phases[phase]! * 1000);
    note(figures, "agent in all", phases["total"]! * 1000);
  }
  await farm.stopAgent();
  return figures;
}

async function build(farm: Farm): Promise<Times> {
  return await stored(farm, await farm.submit({ name: "hello" }));
}

/** When a build was submitted, given and stored. */
export async function stored(farm: Farm, id: number): Promise<Times> {
  const view = await farm.ended(id);
  assert.equal(view.status, "success", await farm.agentTail());
  return view as unknown as Times;
}

/** What the agent has told of its tasks, once it has of so many. */
async function phasesOf(farm: Farm, count: number): Promise<Record<string, number>[]> {
  const text = await said(farm, "phases of the task", count);
  return [...text.matchAll(/phases of the task (\{.*\})/g)].map(
    ([, fields]) => JSON.parse(fields!) as Record<string, number>,
  );
}

/** Waits until the agent has said something so often; all that it has said. */
export async function said(farm: Farm, message: string, count: number): Promise<string> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const text = await readFile(farm.agentLog, "utf8");
    if (text.split(message).length > count) return text;
    if (performance.now() > deadline) throw new Error(`no '${message}' in:\n${text}`);
    await sleep(100);
  }
}

/** Milliseconds that `sh -c true`, unpacking the source, and fetching it take in the guest. */
export async function programsInGuest(farm: Farm): Promise<[string, number][]> {
  const measured: [string, string][] = [
    ["sh -c true", "sh -c true"],
    ["tar", "tar -xzf /tmp/archive -O > /dev/null"],
    ["download", "$get"],
  ];
  const lines = measured.flatMap(([what, command]) => [
    "began=$(cut -d ' ' -f 1 /proc/uptime)",
    `for one in $(seq ${programs}); do ${command}; done`,
    `echo "took ${what}: $began $(cut -d ' ' -f 1 /proc/uptime)"`,
  ]);
  const url = farm.guestUrl("/hello-1.0.tar.gz");
  // As the worker does it: curl where there is one (worker/guest/parts/60-fetch.sh).
  const get = `get="wget -q -O /tmp/archive ${url}"; ! command -v curl || get="curl -s -o /tmp/archive ${url}"; $get`;
  const sources = { ".croft/update": script("set +x", get, ...lines) };
  await packSource(farm.sources, sources, "programs-1.0.tar.gz");
  await farm.startAgent();
  const id = await farm.submit({ name: "programs" });
  const { status } = await farm.ended(id);
  const log = await farm.log(id);
  await farm.stopAgent();
  assert.equal(status, "success", log);
  return [...log.matchAll(/^took (.*): ([\d.]+) ([\d.]+)$/gm)].map(([, what, from, to]) => [
    what!,
    ((Number(to) - Number(from)) * 1000) / programs,
  ]);
}
