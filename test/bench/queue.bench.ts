/**
 * What pages, lists and questions cost with 100 builds and with 200,000, by processor time, on both databases; where a
 * former way is known, it is measured beside. Half of the builds wait, the others have ended; 20 targets, 1,000 names.
 */
import type { OpenController } from "../../controller/controller.ts";
import { startServer } from "../../controller/server.ts";
import { fillQueue, onBothDatabases, targetCount, targetsConfigured } from "./controllers.ts";
import { cost } from "./processor-time.ts";

const sizes = [100, 200_000];
const calls = 30;
const offer = { agent: "host", toolchain: "default", interactive: "false" } as const;
const machines = Array.from({ length: targetCount }, (_, index) => `m${index}`);

export default async function bench(): Promise<void> {
  await onBothDatabases(targetsConfigured, async ({ name, controller, postmaster }) => {
    await using server = await startServer(controller);
    const figures = new Map<string, number[]>();
    for (const size of sizes) {
      await fillQueue(controller, size);
      controller.waiting.note({ ...offer, machines });
      for (const [what, work] of questions(controller, server.url, size))
        figures.set(what, [...(figures.get(what) ?? []), await cost(postmaster, calls, work)]);
    }
    for (const [what, [few = 0, many = 0]] of figures) {
      const ratio = (many / few).toFixed(1);
      const values = `${few.toFixed(2)} ms; ${many.toFixed(2)} ms; x ${ratio}`;
      process.stdout.write(`${`${name}, ${sizes.join(" and ")} builds: ${what}`.padEnd(86)} ${values}\n`);
    }
  });
}

/** Each with a name, in the order in which they are asked. */
function questions(
  { builds, sessions, waiting, database }: OpenController,
  url: string,
  size: number,
): [string, () => Promise<unknown>][] {
  // One connection each: none that was closed while builds were made.
  const page = async (path: string) => (await fetch(url + path, { headers: { connection: "close" } })).text();
  const list = (filter: object) => () => builds.list({ ...filter, limit: 51 });
  const last = async () => await waiting.of((await builds.find(size / 2))!);
  return [
    ["a poll that fits nothing", () => sessions.assign({ ...offer, machines: ["other"] })],
    ["counts", () => builds.count()],
    [
      "counts, formerly",
      () => database.query("select state, count(*)::integer as count from croft.builds group by state"),
    ],
    ["a list", list({})],
    ["a list by state", list({ state: "finished" })],
    ["a list by status, a rare one", list({ status: "abnormal" })],
    ["a list by target", list({ target: "t7" })],
    ["a list by target and state", list({ target: "t7", state: "queued" })],
    ["a list by name", list({ name: "name-7" })],
    ["why the last one of a queue waits", last],
    [
      "why it waits, formerly",
      () =>
        database.query(
          `select count(*)::integer as before from croft.builds b, croft.builds own
           where own.id = $1 and b.queue = own.queue and b.state = 'queued'
             and (-b.queue_priority, b.rank, b.id) < (-own.queue_priority, own.rank, own.id)`,
          [size / 2],
        ),
    ],
    ["the page of builds", () => page("/builds")],
    ["the page of a build that waits", () => page(`/builds/${size / 2}`)],
    ["metrics", () => page("/metrics")],
    ["a poll that is given a build", () => sessions.assign({ ...offer, machines: ["m3"] })],
  ];
}
