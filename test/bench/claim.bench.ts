/**
 * What it costs to ask for a build, by processor time, with more and more builds queued, on both databases; beside it
 * the query that the version with a job for each build asked at each poll. Then many claims one after the other: time
 * and size stay what they are. The number of those is `$CLAIMS` (default: 20,000 embedded, as many on the server).
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Build } from "../../controller/builds/build.ts";
import { BuildQueue } from "../../controller/builds/queue.ts";
import type { OpenController } from "../../controller/controller.ts";
import { onBothDatabases } from "./controllers.ts";
import { cost, processorMs } from "./processor-time.ts";

const queued = [100, 10_000, 100_000];
const polls = 50;
const claims = Number(process.env["CLAIMS"] ?? 20_000);
const reports = 5;
const offer = { agent: "host", toolchain: "default", interactive: "false" } as const;

/** As it was until builds were claimed from their own table. */
const formerQuery = `select queue, target, machine, toolchain, interactive from (
  select distinct on (q.name) q.name as queue, q.target, q.machine, q.toolchain, q.interactive, b.queue_priority, b.id
  from croft.builds b join croft.queues q on q.name = b.queue where b.state = 'queued'
  order by q.name, b.queue_priority desc, b.id
) as firsts order by queue_priority desc, id`;

export default async function bench(): Promise<void> {
  await onBothDatabases(
    "targets: [{ name: debian, machine: debian }]\n",
    async ({ name, controller, postmaster }) => {
      for (const count of queued) await measurePolls(name, controller, count, postmaster);
      await measureClaims(name, controller, postmaster);
    },
  );
}

async function measurePolls(
  name: string,
  controller: OpenController,
  count: number,
  postmaster: number,
): Promise<void> {
  await fill(controller, count);
  const ask = async (machine: string) =>
    void (await controller.sessions.assign({ ...offer, machines: [machine] }));
  const { database } = controller;
  await database.query("drop index croft.builds_queued"); // it is younger than the query
  const former = await cost(postmaster, polls, () => database.query(formerQuery));
  await database.query(
    "create index builds_queued on croft.builds (queue, queue_priority desc, rank, id) where state = 'queued'",
  );
  const idle = await cost(postmaster, polls, () => ask("fedora"));
  const fitting = await cost(postmaster, polls, () => ask("debian"));
  const what = `${name}, ${count} queued: a poll that fits nothing; that is given a build; formerly, the query alone`;
  line(what, `${ms(idle)}; ${ms(fitting)}; ${ms(former)}`);
}

/** So many builds in state queued, of 20 submitters. */
async function fill(controller: OpenController, count: number): Promise<void> {
  const { database, builds } = controller;
  await database.query("truncate croft.builds, croft.turns, croft.served restart identity cascade");
  const what = { name: "x", version: "0", repository: "https://x.org/x.git", targets: ["*"], priority: 0 };
  await builds.submit(what, null);
  await database.query(
    `insert into croft.builds (name, version, target, repository, specification, queue, priority, queue_priority, state,
       submitted_by, rank)
     select name, version, target, repository, specification, queue, priority, queue_priority, state, 'who' || n % 20,
       n / 20 + 1 from croft.builds, generate_series(2, $1::integer) as n`,
    [count],
  );
  await database.query("vacuum (analyze) croft.builds");
}

/** Submitted, given and finished, a thousand kept, many times. */
async function measureClaims(name: string, controller: OpenController, postmaster: number): Promise<void> {
  await fill(controller, 1000);
  const { database, builds } = controller;
  const queue = new BuildQueue(database);
  const first = (await builds.find(1))!;
  for (let report = 0; report < reports; report++) {
    const before = processorMs(postmaster);
    for (let count = 0; count < claims / reports; count++) {
      await queue.waiting();
      await database.transaction(async (sql) => {
        await queue.add(sql, first.queue, first.specification, `who${count % 20}`, null);
        const taken = (await queue.take(sql, queueOf(first), { host: "host", hasAlternative: () => false }))!;
        await queue.move(sql, taken, "finished");
        await sql.query("delete from croft.builds where id = $1", [taken.id]);
      });
    }
    const each = (processorMs(postmaster) - before) / (claims / reports);
    await sleep(4000); // an idle moment, for the upkeep
    const [size] = await database.query<{ bytes: number }>(
      `select sum(pg_total_relation_size(oid))::float8 as bytes from pg_class where relnamespace = 'croft'::regnamespace
       and relkind = 'r'`,
    );
    const done = Math.round(((report + 1) * claims) / reports);
    line(
      `${name}, ${done} claims: each; size of all tables`,
      `${ms(each)}; ${(size!.bytes / 1e6).toFixed(2)} MB`,
    );
  }
}

function queueOf({ queue: name, target }: Build) {
  return { name, target };
}

function ms(value: number): string {
  return `${value.toFixed(2)} ms`;
}

function line(what: string, value: string): void {
  process.stdout.write(`${what.padEnd(106)} ${value}\n`);
}
