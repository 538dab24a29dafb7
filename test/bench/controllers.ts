/** Controllers to be measured, in this process: on both databases, with as many builds as are wanted. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readControllerConfiguration } from "../../controller/configuration.ts";
import { openController, type OpenController } from "../../controller/controller.ts";
import { silentLog } from "../../os/log.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { noPostgres, startPostgres } from "../controller/database/postgres.ts";
import { postmasterOf } from "./processor-time.ts";

/** A controller on one of the databases. */
export interface Measured {
  /** `embedded` or `server`. */
  name: string;
  controller: OpenController;
  /** The first process of its PostgreSQL server; 0 if the database is embedded. */
  postmaster: number;
}

/** Does the same with a controller on each kind of database. The configuration is YAML. */
export async function onBothDatabases(
  configuration: string,
  work: (measured: Measured) => Promise<void>,
): Promise<void> {
  for (const name of ["embedded", "server"]) {
    if (name === "server" && noPostgres) continue;
    await using stack = new AsyncDisposableStack();
    const { path } = stack.use(await temporaryDirectory("croft-bench-controller-"));
    const url = name === "embedded" ? name : stack.use(await startPostgres()).url;
    const config = join(path, "controller.yaml");
    await writeFile(config, `listen: 127.0.0.1:0\ndatabase: ${url}\n${configuration}`);
    const settings = readControllerConfiguration({ config, data: join(path, "data") });
    await using controller = await openController(settings, silentLog());
    const postmaster = name === "server" ? await postmasterOf(controller) : 0;
    await work({ name, controller, postmaster });
  }
}

/** How many targets {@link fillQueue} fills. */
export const targetCount = 20;
/** The configuration of {@link targetCount} targets, each with a machine of its own. */
export const targetsConfigured = `targets: [${Array.from({ length: targetCount }, (_, index) => `{ name: t${index}, machine: m${index} }`).join(", ")}]\n`;

/** Fills the table anew: the first half of the builds waits, most of it in one queue, the others have ended; 1,000 names. */
export async function fillQueue({ database, builds }: OpenController, size: number): Promise<void> {
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
    [size, targetCount + 1, targetCount],
  );
  await database.query(
    `update croft.queues q set queued = b.queued, finished = b.finished from (
       select queue, count(*) filter (where state = 'queued') as queued,
         count(*) filter (where state = 'finished') as finished from croft.builds group by queue
     ) as b where b.queue = q.name`,
  );
  await database.query("vacuum (analyze) croft.builds");
}
