/**
 * What pages, lists and questions cost with 100 builds and with 200,000, by processor time, on both databases; where a
 * former way is known, it is measured beside. Half of the builds wait, the others have ended; 20 targets, 1,000 names.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readControllerConfiguration } from "../../controller/configuration.ts";
import { openController, type OpenController } from "../../controller/controller.ts";
import { startServer } from "../../controller/server.ts";
import { silentLog } from "../../os/log.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { noPostgres, startPostgres } from "../controller/database/postgres.ts";
import { cost, postmasterOf } from "./processor-time.ts";

const sizes = [100, 200_000];
const calls = 30;
const targets = 20;
const offer = { agent: "host", toolchain: "default", interactive: "false" } as const;

export default async function bench(): Promise<void> {
  for (const database of ["embedded", "server"]) {
    if (database === "server" && noPostgres) continue;
    await using stack = new AsyncDisposableStack();
    const { path } = stack.use(await temporaryDirectory("croft-bench-queue-"));
    const url = database === "embedded" ? database : stack.use(await startPostgres()).url;
    const config = join(path, "controller.yaml");
    const named = Array.from({ length: targets }, (_, index) => `{ name: t${index}, machine: m${index} }`);
    await writeFile(config, `listen: 127.0.0.1:0\ndatabase: ${url}\ntargets: [${named.join(", ")}]\n`);
    const settings = readControllerConfiguration({ config, data: join(path, "data") });
    await using controller = await openController(settings, silentLog());
    await using server = await startServer(controller);
    const postmaster = database === "server" ? await postmasterOf(controller) : 0;
    const figures = new Map<string, number[]>();
    for (const size of sizes) {
      await fill(controller, size);
      for (const [what, work] of questions(controller, server.url, size))
        figures.set(what, [...(figures.get(what) ?? []), await cost(postmaster, calls, work)]);
    }
    for (const [what, [few = 0, many = 0]] of figures) {
      const ratio = (many / few).toFixed(1);
      const values = `${few.toFixed(2)} ms; ${many.toFixed(2)} ms; x ${ratio}`;
      process.stdout.write(`${`${database}, ${sizes.join(" and ")} builds: ${what}`.padEnd(86)} ${values}\n`);
    }
  }
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

/** The first half of the builds waits, most of it in one queue; agents offer what it needs. */
async function fill({ database, builds, waiting }: OpenController, size: number): Promise<void> {
  await database.query("truncate croft.builds, croft.turns, croft.served restart identity cascade");
  await database.query("update croft.queues set queued = 0, running = 0, finished = 0, cancelled = 0");
  const what = { name: "x", version: "0", repository: "https://x.org/x.git", targets: ["*"], priority: 0 };
  await builds.submit(what, null);
  await database.query(
    `insert into croft.builds (name, version, target, repository, specification, queue, priority, queue_priority, state,
       status, submitted_by, rank)
     select 'name-' || n % 1000, b.version, b.target, b.repository, b.specification, b.queue, 0, 0,
       case when n <= $1 / 2 then 'queued' else 'finished' end,
       case when n <= $1 / 2 then null when n % 10000 = 9999 then 'abnormal' else 'success' end, 'who' || n % 20, n
     from generate_series($2::integer, $1::integer) as n
     join croft.builds b on b.id = case when n % 2 = 0 then 1 else 1 + n % $3::integer end`,
    [size, targets + 1, targets],
  );
  await database.query(
    `update croft.queues q set queued = b.queued, finished = b.finished from (
       select queue, count(*) filter (where state = 'queued') as queued,
         count(*) filter (where state = 'finished') as finished from croft.builds group by queue
     ) as b where b.queue = q.name`,
  );
  await database.query("vacuum (analyze) croft.builds");
  const machines = Array.from({ length: targets }, (_, index) => `m${index}`);
  waiting.note({ ...offer, machines });
}
