/**
 * A thousand agents (`$AGENTS`) that wait at one controller, with 100,000 builds queued for others: what the controller costs while
 * nothing happens, how soon a build that is submitted is given, by wake-ups and to whom; the same with pages open (`$PAGES`, 20), and
 * the same with one agent. On both databases, which is a process of its own each; agents are simulated in this one (test/fixtures/simulated-agent.ts).
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readControllerConfiguration } from "../../controller/configuration.ts";
import { openController } from "../../controller/controller.ts";
import { openServer } from "../../controller/database/server.ts";
import { silentLog } from "../../os/log.ts";
import { noPostgres, startPostgres } from "../controller/database/postgres.ts";
import { makeFarm, submit, type RunningController } from "../controller/farm.ts";
import { simulateAgent } from "../fixtures/simulated-agent.ts";
import { openPages } from "./open-pages.ts";
import { processorMsOf } from "./processor-time.ts";

const agents = Number(process.env["AGENTS"] ?? 1000);
const queued = Number(process.env["QUEUED"] ?? 100_000);
const submissions = Number(process.env["SUBMISSIONS"] ?? 1000);
const pagesOpen = Number(process.env["PAGES"] ?? 20);
const idleSeconds = 60;
const spreadMs = 55_000;
const targets = "targets: [{ name: busy, machine: busy }, { name: idle, machine: idle }]\n";

export default async function bench(): Promise<void> {
  for (const database of ["embedded", "server"]) {
    if (database === "server" && noPostgres) continue;
    await using stack = new AsyncDisposableStack();
    const url = database === "server" ? stack.use(await startPostgres()).url : "embedded";
    const farm = stack.use(await makeFarm(`database: ${url}\n${targets}`));
    await fill(farm.directory);
    const postmaster = database === "server" ? await postmasterOf(url) : 0;
    const running = await farm.start();
    const pids = { controller: running.process.pid!, postmaster };
    await measure(`${database}, 1 agent`, 1, running, pids);
    await measure(`${database}, ${agents} agents`, agents, running, pids);
    await running.end("SIGTERM");
  }
}

/** Builds that no agent here can take. */
async function fill(directory: string): Promise<void> {
  const file = join(directory, "controller.yaml");
  const settings = readControllerConfiguration({ config: file, data: join(directory, "data") });
  await using controller = await openController(settings, silentLog());
  const what = { name: "x", version: "0", repository: "https://x.org/x.git", targets: ["busy"], priority: 0 };
  await controller.builds.submit(what, null);
  await controller.database.query(
    `insert into croft.builds (name, version, target, repository, specification, queue, priority, queue_priority, state,
       submitted_by, rank)
     select name, version, target, repository, specification, queue, priority, queue_priority, state, 'who' || n % 20,
       n / 20 + 1 from croft.builds, generate_series(2, $1::integer) as n`,
    [queued],
  );
  await controller.database.query("update croft.queues set queued = $1 where target = 'busy'", [queued]);
  await controller.database.query("vacuum (analyze) croft.builds");
}

async function postmasterOf(url: string): Promise<number> {
  await using database = await openServer(url, () => {});
  const [file] = await database.query<{ text: string }>("select pg_read_file('postmaster.pid') as text");
  return Number.parseInt(file!.text, 10);
}

interface Pids {
  controller: number;
  postmaster: number;
}

/** What the simulated agents tell. */
interface Heard {
  wakeUps: number;
  builds: number;
  given: PromiseWithResolvers<void>;
  waits: PromiseWithResolvers<void>;
}

async function measure(name: string, count: number, { url }: RunningController, pids: Pids): Promise<void> {
  const end = new AbortController();
  const heard: Heard = {
    ...{ wakeUps: 0, builds: 0 },
    given: Promise.withResolvers<void>(),
    waits: Promise.withResolvers<void>(),
  };
  // Not in step: those of a farm are started one after the other, and ask once a minute.
  const simulated = Array.from({ length: count }, async (_, index) => {
    await sleep((index / count) * spreadMs);
    await simulateAgent(
      {
        ...{ name: `host-${index}`, machine: "idle", urls: [url] },
        given: () => {
          heard.builds++;
          heard.given.resolve();
        },
        waits: () => heard.waits.resolve(),
        woken: () => void heard.wakeUps++,
      },
      end.signal,
    );
  });
  await until(() => waitingAt(url), count);
  if (count > 1) await idle(name, pids);
  await build(name, count, url, pids, heard);
  if (count > 1 && pagesOpen > 0) {
    const pages = await openPages(url, pagesOpen, end.signal);
    const open = `${name}, ${pagesOpen} pages open`;
    await idle(open, pids);
    await build(open, count, url, pids, heard);
    line(`${open}: fetched again; connections that broke`, `${pages.refreshed}; ${pages.broken}`);
  }
  end.abort();
  await Promise.all(simulated);
}

/** Submits builds one after the other. */
async function build(name: string, count: number, url: string, pids: Pids, heard: Heard): Promise<void> {
  const times: number[] = [];
  [heard.builds, heard.wakeUps] = [0, 0];
  const before = processorMsOf(pids.controller, pids.postmaster);
  for (let number = 0; number < submissions; number++) {
    [heard.given, heard.waits] = [Promise.withResolvers(), Promise.withResolvers()];
    const began = performance.now();
    await submit(url, { targets: ["idle"] });
    await heard.given.promise;
    times.push(performance.now() - began);
    if (count === 1) await heard.waits.promise; // with many there is always one
  }
  const each = (processorMsOf(pids.controller, pids.postmaster) - before) / submissions;
  const goal = count === 1 ? 100 : 250;
  line(
    `${name}: submission → given, median; p99 (goal: ${goal} ms); longest`,
    `${ms(percentile(times, 0.5))}; ${ms(percentile(times, 0.99))}; ${ms(Math.max(...times))}`,
  );
  line(`${name}: builds submitted; given; wake-ups`, `${submissions}; ${heard.builds}; ${heard.wakeUps}`);
  line(`${name}: processor time of a build, from submission to result`, ms(each));
}

async function idle(name: string, { controller, postmaster }: Pids): Promise<void> {
  await sleep(5000);
  const before = processorMsOf(controller, postmaster);
  const began = performance.now();
  await sleep(idleSeconds * 1000);
  const share = (processorMsOf(controller, postmaster) - before) / (performance.now() - began);
  const [, kib] = /^Rss: +(\d+) kB/m.exec(readFileSync(`/proc/${controller}/smaps_rollup`, "utf8"))!;
  line(`${name}: idle, of a processor (goal: 5 %)`, `${(share * 100).toFixed(2)} %`);
  line(`${name}: memory of the controller (goal: 400 MB)`, `${((Number(kib) * 1024) / 1e6).toFixed(0)} MB`);
}

async function waitingAt(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^croft_waiting_agents (\d+)$/m.exec(text)?.[1]);
}

async function until(current: () => Promise<number>, wanted: number): Promise<void> {
  while ((await current()) < wanted) await sleep(10);
}

function percentile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length * share) - 1]!;
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}

function line(what: string, value: string): void {
  process.stdout.write(`${what.padEnd(96)} ${value}\n`);
}
