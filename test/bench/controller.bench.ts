/**
 * What a controller does in a second, over HTTP, with 1,000, 20,000 and 200,000 builds in the table, on both databases: submissions,
 * builds given to agents, results taken in (a log of 100 lines each); and how long its pages take. The time of a clock, with so many
 * at once as are named, and the processor time of each, the database's included.
 */
import { startServer } from "../../controller/server.ts";
import { requestTask, sendResult, submit, type ReceivedTask } from "../controller/farm.ts";
import { fillQueue, onBothDatabases, targetCount, targetsConfigured, type Measured } from "./controllers.ts";
import { processorMs } from "./processor-time.ts";

const sizes = (process.env["BUILDS"] ?? "1000,20000,200000").split(",").map(Number);
const calls = Number(process.env["CALLS"] ?? 400);
const atOnce = 8;
const pageCalls = 20;
const log = Array.from({ length: 100 }, (_, line) => `[${line}/100] cc -c -O2 part-${line}.c\n`).join("");

export default async function bench(): Promise<void> {
  const figures = new Map<string, string[]>();
  await onBothDatabases(targetsConfigured, async (measured) => {
    await using server = await startServer(measured.controller);
    for (const size of sizes) {
      await fillQueue(measured.controller, size);
      for (const [what, value] of await measure(measured, server.url, size)) {
        const name = `${measured.name}: ${what}`;
        figures.set(name, [...(figures.get(name) ?? []), value]);
      }
    }
  });
  line(
    "",
    sizes.map((size) => `${size.toLocaleString("en")} builds`),
  );
  for (const [what, values] of figures) line(what, values);
}

async function measure(measured: Measured, url: string, size: number): Promise<[string, string][]> {
  const given: ReceivedTask[] = [];
  const machine = (index: number) => `m${index % targetCount}`;
  const rates: [string, string][] = [
    [
      `submissions, ${atOnce} at once`,
      await rate(
        measured,
        async (index) => void (await submit(url, { targets: [`t${index % targetCount}`] })),
      ),
    ],
    [
      `builds given, ${atOnce} at once`,
      await rate(measured, async (index) => {
        const name = machine(index);
        const task = await requestTask(url, {
          agent: `host-${index}`,
          machines: [{ id: `${name}-1`, name, summary: name }],
        });
        if (task.task) given.push(task);
      }),
    ],
    [
      `results taken in, ${atOnce} at once`,
      await rate(measured, async () => {
        const answer = await sendResult(given.pop()!, "success", [["update", "success", log]]);
        if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
      }),
    ],
  ];
  for (const path of [
    "/",
    "/builds",
    `/builds/${size / 2}`,
    "/builds?text=name-700",
    "/packages/name-700",
    "/agents",
  ]) {
    const what = path === `/builds/${size / 2}` ? "/builds/NUMBER" : path;
    rates.push([`page ${what}`, await pageTime(measured, url + path)]);
  }
  return rates;
}

/** How many a second, and processor time of each. */
async function rate({ postmaster }: Measured, work: (index: number) => Promise<void>): Promise<string> {
  let next = 0;
  const before = processorMs(postmaster);
  const began = performance.now();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let index = next++; index < calls; index = next++) await work(index);
    }),
  );
  const seconds = (performance.now() - began) / 1000;
  return `${(calls / seconds).toFixed(0)}/s (${((processorMs(postmaster) - before) / calls).toFixed(1)} ms)`;
}

/** The median of a clock's time, and processor time. */
async function pageTime({ postmaster }: Measured, url: string): Promise<string> {
  const times: number[] = [];
  let before = 0;
  for (let count = -3; count < pageCalls; count++) {
    if (count === 0) before = processorMs(postmaster);
    const began = performance.now();
    const answer = await fetch(url, { headers: { accept: "text/html", connection: "close" } });
    await answer.text();
    if (!answer.ok) throw new Error(`${answer.status} for ${url}`);
    if (count >= 0) times.push(performance.now() - began);
  }
  const median = times.toSorted((one, other) => one - other)[pageCalls / 2]!;
  return `${median.toFixed(1)} ms (${((processorMs(postmaster) - before) / pageCalls).toFixed(1)} ms)`;
}

function line(what: string, values: readonly string[]): void {
  process.stdout.write(`${what.padEnd(44)}${values.map((value) => value.padStart(22)).join("")}\n`);
}
