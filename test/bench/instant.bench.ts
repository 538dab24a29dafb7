/**
 * A null build (a small archive whose `.croft/update` is `true`) on an idle farm with the minimal machine: how long it takes
 * from its submission to its stored result, with a machine that is booted, one that is restored, and one that was restored ahead,
 * and where the time goes. Beside it the floor: QEMU restored without an agent, until the guest answers, and what programs cost in that guest.
 * CROFT_BENCH_BUILDS: how many of each, default 20.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { taskPhases } from "../../agent/status/task-phases.ts";
import { startFarm, type Farm } from "../fixtures/farm.ts";
import { patienceMs } from "../fixtures/patience.ts";
import { restoreCopies } from "../fixtures/machines/restored.ts";
import { packSource, script } from "../worker/sources.ts";

const builds = Number(process.env["CROFT_BENCH_BUILDS"] ?? 20);
const ramKiB = 262_144;
/** How often a program is run in the guest. */
const programs = 20;

type Figures = Map<string, number[]>;

export default async function bench(): Promise<void> {
  await using farm = await startFarm({
    ahead: true,
    machine: "minimal",
    warm: true,
    agent: ["--ram", String(ramKiB), "--poll-interval", "60"],
  });
  await packSource(farm.sources, { ".croft/update": script("true") });
  const cold = await measure(farm, ["--no-warm"]);
  const warm = await measure(farm, ["--ahead", "off"]);
  const ahead = await measure(farm, []);
  const copies = await restoreCopies(farm, { count: builds, cpus: 1, ramKiB });
  const floor = copies.map(({ milliseconds }) => milliseconds);
  const guest = await programsInGuest(farm);
  process.stdout.write(`${builds} null builds each, in ms: median (p90)\n`);
  line("", "booted", "restored", "ahead");
  for (const what of ["submitted to given", "submitted to stored", ...taskPhases, "agent in all"])
    line(what, ...[cold, warm, ahead].map((figures) => show(figures.get(what))));
  line("floor: QEMU restored until the guest answers", "", show(floor));
  for (const [what, cost] of guest) line(`in the guest: ${what}`, "", cost.toFixed(0));
  const allowed = median(floor) + 3 * guest.reduce((sum, [, cost]) => sum + cost, 0);
  line("goal: 1500, and the floor and three times that", "", allowed.toFixed(0));
}

/** Builds, one after the other, by an agent that is idle and waits to be woken. */
async function measure(farm: Farm, options: readonly string[]): Promise<Figures> {
  await farm.startAgent(options);
  const figures: Figures = new Map();
  const note = (what: string, value: number) => figures.set(what, [...(figures.get(what) ?? []), value]);
  await build(farm); // bootstraps the machine
  if (options.includes("off")) await said(farm, "machine saved", 1);
  const before = (await phasesOf(farm, 1)).length;
  for (let one = 0; one < builds; one++) {
    if (options.length === 0) await said(farm, "a copy is kept ahead", before + one);
    await sleep(1000); // until it waits
    const { createdAt, startedAt, finishedAt } = await build(farm);
    note("submitted to given", Date.parse(startedAt) - Date.parse(createdAt));
    note("submitted to stored", Date.parse(finishedAt) - Date.parse(createdAt));
    const phases = (await phasesOf(farm, before + one + 1)).at(-1)!;
    for (const phase of taskPhases) if (phase in phases) note(phase, phases[phase]! * 1000);
    note("agent in all", phases["total"]! * 1000);
  }
  await farm.stopAgent();
  return figures;
}

async function build(farm: Farm): Promise<Record<"createdAt" | "startedAt" | "finishedAt", string>> {
  const id = await farm.submit({ name: "hello" });
  const view = await farm.ended(id);
  assert.equal(view.status, "success", await farm.agentTail());
  return view as unknown as Record<"createdAt" | "startedAt" | "finishedAt", string>;
}

/** What the agent has told of its tasks, once it has of so many. */
async function phasesOf(farm: Farm, count: number): Promise<Record<string, number>[]> {
  const text = await said(farm, "phases of the task", count);
  return [...text.matchAll(/phases of the task (\{.*\})/g)].map(
    ([, fields]) => JSON.parse(fields!) as Record<string, number>,
  );
}

async function said(farm: Farm, message: string, count: number): Promise<string> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const text = await readFile(farm.agentLog, "utf8");
    if (text.split(message).length > count) return text;
    if (performance.now() > deadline) throw new Error(`no '${message}' in:\n${text}`);
    await sleep(100);
  }
}

/** Milliseconds that `sh -c true`, unpacking the source, and fetching it take in the guest. */
async function programsInGuest(farm: Farm): Promise<[string, number][]> {
  const measured: [string, string][] = [
    ["sh -c true", "sh -c true"],
    ["tar", "tar -xzf /tmp/archive -O > /dev/null"],
    ["download", "wget -q -O /tmp/archive $archive"],
  ];
  const lines = measured.flatMap(([what, command]) => [
    "began=$(cut -d ' ' -f 1 /proc/uptime)",
    `for one in $(seq ${programs}); do ${command}; done`,
    `echo "took ${what}: $began $(cut -d ' ' -f 1 /proc/uptime)"`,
  ]);
  const get = `archive=${farm.guestUrl("/hello-1.0.tar.gz")}; wget -q -O /tmp/archive $archive`;
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

function median(values: readonly number[]): number {
  return at(values, 0.5);
}

function at(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

function show(values: readonly number[] | undefined): string {
  return values === undefined ? "-" : `${median(values).toFixed(0)} (${at(values, 0.9).toFixed(0)})`;
}

function line(what: string, ...values: string[]): void {
  process.stdout.write(`${what.padEnd(50)}${values.map((value) => value.padStart(15)).join("")}\n`);
}
