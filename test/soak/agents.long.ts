/** Two controllers on one database, killed at random, and 1,000 agents: each of 2,000 builds is given to one of them, once */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "../../controller/database/database.ts";
import { openServer } from "../../controller/database/server.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { noPostgres, startPostgres } from "../controller/database/postgres.ts";
import { freePort } from "../fixtures/ports.ts";
import { simulateAgent } from "../fixtures/simulated-agent.ts";
import { CroftProcess } from "./croft-process.ts";
import { until } from "./farm.ts";
import { Random } from "./random.ts";

const agents = Number(process.env["CROFT_SOAK_AGENTS"] ?? 1000);
const builds = Number(process.env["CROFT_SOAK_BUILDS"] ?? 2000);
const seed = Number(process.env["CROFT_SOAK_SEED"] ?? Date.now() % 1_000_000);
const configuration = "targets: [{ name: any, machine: m }]\n";
/** A build takes up to so long; it is in the hands of an agent when a controller is killed. */
const longestBuildMs = 5000;
/** Between two kills. */
const pauseMs = { shortest: 3000, longest: 15_000 };
/** A second of builds. */
const submittedAtOnce = 10;
const patienceSeconds = 1500;

interface Controller {
  process: CroftProcess;
  url: string;
}

async function startControllers(directory: string, database: string): Promise<Controller[]> {
  const file = join(directory, "controller.yaml");
  await writeFile(file, `database: ${database}\n${configuration}`);
  const controllers: Controller[] = [];
  for (const name of ["one", "other"]) {
    const address = `127.0.0.1:${await freePort()}`;
    const args = ["controller", "--listen", address, "--config", file, "--data", join(directory, "data")];
    const process = new CroftProcess(name, args, join(directory, `${name}.log`));
    process.start();
    const url = `http://${address}`;
    await until(() => isReady(url), `${url} to be ready`);
    controllers.push({ process, url });
  }
  return controllers;
}

async function isReady(url: string): Promise<boolean> {
  return await fetch(`${url}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  );
}

/** Asks until there is an answer: the server has a great deal to do. */
async function ask<Row>(database: Database, text: string, values: readonly unknown[] = []): Promise<Row[]> {
  for (let left = 60; ; left--)
    try {
      return await database.query<Row>(text, values);
    } catch (error) {
      if (left === 0) throw error;
      await sleep(1000);
    }
}

/** Submits builds by whoever is there, each once: whether a request that was cut off came, the database knows. */
async function submitAll(
  database: Database,
  controllers: readonly Controller[],
  random: Random,
): Promise<void> {
  for (let number = 0; number < builds; number++) {
    const name = `build-${number}`;
    const isThere = () => ask(database, "select 1 from croft.builds where name = $1", [name]);
    while ((await isThere()).length === 0) {
      const body = JSON.stringify({ name, repository: "https://example.org/hello.git" });
      const headers = { "content-type": "application/json" };
      const url = `${random.pick(controllers).url}/api/v1/builds`;
      await fetch(url, { method: "POST", headers, body }).catch(() => sleep(100));
    }
    if (number % submittedAtOnce === 0) await sleep(1000);
  }
}

/** Kills one at random, starts it anew, and so on; how many were killed. */
async function killAtRandom(controllers: readonly Controller[], random: Random, signal: AbortSignal) {
  let kills = 0;
  for (;;) {
    const { shortest, longest } = pauseMs;
    await sleep(shortest + random.next() * (longest - shortest), undefined, { signal }).catch(() => {});
    if (signal.aborted) return kills;
    const { process, url } = random.pick(controllers);
    await process.end("SIGKILL");
    kills++;
    process.start();
    await until(() => isReady(url), `${url} to be ready again`);
  }
}

/** What agents were given, and were told of their results. */
class Account {
  readonly given = new Map<string, string[]>();
  readonly refused: string[] = [];
  readonly sessions = new Set<string>();

  add(build: string, agent: string, session: string): void {
    this.given.set(build, [...(this.given.get(build) ?? []), agent]);
    this.sessions.add(session);
  }
}

async function countFinished(database: Database): Promise<number> {
  const [row] = await ask<{ count: number }>(
    database,
    "select count(*)::integer as count from croft.builds where state = 'finished' and status = 'success'",
  );
  return row!.count;
}

async function check(t: TestContext, database: Database, account: Account, kills: number): Promise<void> {
  const twice = [...account.given].filter(([, to]) => to.length !== 1);
  assert.deepEqual(twice, [], "each build was given to one agent, once");
  assert.equal(account.given.size, builds);
  assert.deepEqual(account.refused, []);
  const sessions = await database.query<{ token: string; state: string }>(
    "select token, state from croft.sessions",
  );
  const lost = sessions.filter(({ token }) => !account.sessions.has(token));
  const stored = sessions.filter(({ state }) => state === "finished");
  assert.equal(stored.length, builds);
  assert.ok(
    lost.every(({ state }) => state === "superseded" || state === "expired"),
    "what no agent heard of has no result",
  );
  const [counts] = await database.query(
    "select sum(queued)::integer as queued, sum(running)::integer as running, sum(finished)::integer as finished from croft.queues",
  );
  assert.deepEqual(counts, { queued: 0, running: 0, finished: builds });
  t.diagnostic(
    `${builds} builds, ${agents} agents, ${kills} kills: each was given to one agent, once; ` +
      `${lost.length} answers with a task were cut off, and given again after a minute`,
  );
}

test(`${builds} builds, ${agents} agents, seed ${seed}`, { skip: noPostgres }, async (t) => {
  await using postgres = await startPostgres();
  await using directory = await temporaryDirectory("croft-test-soak-agents-");
  const controllers = await startControllers(directory.path, postgres.url);
  await using stack = new AsyncDisposableStack();
  for (const { process } of controllers) stack.use(process);
  const database = stack.use(await openServer(postgres.url, () => {}));
  const random = new Random(seed);
  const account = new Account();
  const end = new AbortController();
  const simulated = Array.from({ length: agents }, (_, index) => {
    const name = `host-${index}`;
    return simulateAgent(
      {
        ...{ name, machine: "m", urls: controllers.map(({ url }) => url) },
        given: async ({ task, response }) => {
          account.add(task.name, name, response.session);
          await sleep(Math.random() * longestBuildMs);
        },
        told: ({ task }, how) => void (how === "stored" || account.refused.push(`${task.name}: ${how}`)),
      },
      end.signal,
    );
  });
  const killer = new AbortController();
  stack.defer(async () => {
    for (const signal of [killer, end]) signal.abort();
    await Promise.all(simulated);
  });
  const killing = killAtRandom(controllers, random, killer.signal);
  await submitAll(database, controllers, new Random(seed + 1));
  await until(async () => (await countFinished(database)) === builds, "all builds", patienceSeconds);
  killer.abort();
  const kills = await killing;
  end.abort();
  await Promise.all(simulated);
  await check(t, database, account, kills);
});
