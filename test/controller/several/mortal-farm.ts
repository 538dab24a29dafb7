/**
 * Two controllers behind a balancer, with PostgreSQL and a bucket's service of their own, all of which die by chance and come
 * back, and the builds that go on meanwhile.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { openServer } from "../../../controller/database/server.ts";
import { startBalancer, type BalancerKind } from "../../fixtures/services/balancers.ts";
import { freePort } from "../../fixtures/ports.ts";
import { startSwift } from "../../fixtures/services/swift.ts";
import { startPostgres } from "../database/postgres.ts";
import { makeFarm, type Farm, type RunningController } from "../farm.ts";
import { until } from "../until.ts";
import { Reader } from "./reader.ts";

/** Something that can die, and comes back. */
interface Mortal {
  name: string;
  /** How, if there is more than one way. */
  die(): Promise<string | void>;
  comeBack(): Promise<void>;
}

export interface MortalFarm extends AsyncDisposable {
  /** The balancer's. */
  url: string;
  databaseUrl: string;
  mortals: readonly Mortal[];
}

export async function startMortalFarm(kind: BalancerKind): Promise<MortalFarm> {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await startPostgres());
  const swift = stack.use(await startSwift());
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const addresses: [string, string] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const { endpoint, bucket, accessKey, secretKey } = swift;
  const configuration = [
    `database: ${postgres.url}`,
    `storage: s3://${bucket}`,
    `s3: { endpoint: "${endpoint}", access-key: "${accessKey}", secret-key: "${secretKey}" }`,
    ...["trusted-proxies: [127.0.0.1]", `public-url: ${url}`, ""],
  ];
  const farm = stack.use(await makeFarm(configuration.join("\n")));
  const controllers: Mortal[] = [];
  for (const address of addresses) controllers.push(await mortalController(farm, address));
  const balancer = stack.use(await startBalancer(kind, { port, controllers: addresses }));
  const mortals = [
    ...controllers,
    ...[
      { name: "database", die: () => postgres.stop(), comeBack: () => postgres.start() },
      { name: "balancer", die: () => balancer.stop(), comeBack: () => balancer.start() },
      { name: "bucket", die: () => swift.stop(), comeBack: () => swift.start() },
    ],
  ];
  const held = stack.move();
  const databaseUrl = postgres.url;
  return { url, databaseUrl, mortals, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** Killed, told to end, or standing still for a while: who looks from outside sees the same for a moment, and other things then. */
const ways = ["SIGKILL", "SIGTERM", "SIGSTOP"] as const;

/** Without database or storage it does not start; then it is started again, as a service manager does. */
async function mortalController(farm: Farm, address: string): Promise<Mortal> {
  let running: RunningController = await farm.start("--listen", address);
  let way: (typeof ways)[number] = "SIGKILL";
  return {
    name: `controller ${address.split(":")[1]}`,
    die: async () => {
      const { exitCode, signalCode } = running.process;
      if (exitCode !== null || signalCode !== null)
        throw new Error(
          `a controller has ended by itself, with ${exitCode ?? signalCode}:\n${running.log()}`,
        );
      way = ways[Math.floor(Math.random() * ways.length)]!;
      if (way === "SIGSTOP") running.process.kill(way);
      else await running.end(way);
      return way;
    },
    comeBack: async () => {
      if (way === "SIGSTOP") return void running.process.kill("SIGCONT");
      for (;;)
        try {
          running = await farm.start("--listen", address);
          return;
        } catch (error) {
          if (!/the controller ended with 1/.test(String(error))) throw error;
          await sleep(200);
        }
    },
  };
}

/**
 * One dies, or two at a time, in an order that chance gives, all of them before the first dies again; they are back after a moment, and
 * then all are there for as long as that took.
 */
async function kill(mortals: readonly Mortal[], deaths: string[], signal: AbortSignal): Promise<void> {
  let next: Mortal[] = [];
  while (!signal.aborted) {
    const began = performance.now();
    if (next.length === 0) next = mortals.toSorted(() => Math.random() - 0.5);
    const victims = next.splice(0, Math.random() < 1 / 3 ? 2 : 1);
    await Promise.all(
      victims.map(async ({ name, die, comeBack }) => {
        const how = await die();
        deaths.push(how === undefined ? name : `${name} (${how})`);
        await sleep(500 + Math.random() * 3000);
        await comeBack();
      }),
    );
    const pauseMs = Math.max(1000 + Math.random() * 3000, performance.now() - began);
    await sleep(pauseMs, undefined, { signal }).catch(() => {});
  }
}

/** Asks again until it is answered; what was submitted twice by that is built twice. */
export async function insist<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (;;)
    try {
      return await work();
    } catch (error) {
      if (signal?.aborted) throw error;
      await sleep(200);
    }
}

export const digestOf = (content: Uint8Array | string) => createHash("sha256").update(content).digest("hex");

interface Amid {
  /** So many builds at least, and as many more as it takes until each of what can die has done so `rounds` times. */
  builds: number;
  rounds: number;
  /** Builds that wait or are built, at most: the last ones are submitted when everything has died. */
  mostOpen: number;
  /** Submits one; its number. */
  submit: (count: number) => Promise<number>;
  /** Whoever builds: rejects if that fails. */
  working: Promise<unknown>;
}

/** What went on while everything died. */
export interface Survived {
  /** By builds whose submission was answered. */
  readers: Map<number, Reader>;
  deaths: string[];
}

/** Submits builds, each with a reader, while everything dies by chance; returns when all have ended, and peace has come. */
export async function surviveDeaths(
  { url, databaseUrl, mortals }: MortalFarm,
  amid: Amid,
): Promise<Survived> {
  const { builds, rounds, mostOpen, submit, working } = amid;
  const over = new AbortController();
  const peace = new AbortController();
  const readers = new Map<number, Reader>();
  const deaths: string[] = [];
  const killing = kill(mortals, deaths, peace.signal);
  const open = () => [...readers.values()].filter(({ status }) => status === null).length;
  const submitting = async () => {
    for (let count = 0; count < builds || deaths.length < rounds * mortals.length; count++) {
      await until(async () => over.signal.aborted || open() < mostOpen, "an end of a build");
      if (over.signal.aborted) return;
      const id = await insist(() => submit(count), over.signal);
      readers.set(id, new Reader(url, id, over.signal));
    }
    await Promise.all([...readers.values()].map(({ done }) => done));
  };
  const submitted = submitting();
  submitted.catch(() => {}); // seen below, unless those who build have failed
  working.catch(() => {});
  killing.catch(() => {});
  try {
    await Promise.race([submitted, working, killing]);
    peace.abort();
    await killing;
    await until(async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.status === 200, "peace");
    await Promise.race([allEnded(databaseUrl), working]);
  } finally {
    peace.abort();
    over.abort();
    await Promise.allSettled([killing, submitted]);
  }
  return { readers, deaths };
}

/** A line about them. */
export function tellDeaths({ readers, deaths }: Survived): string {
  const breaks = [...readers.values()].reduce((sum, reader) => sum + reader.breaks, 0);
  return `${deaths.length} deaths: ${deaths.join(", ")}; ${breaks} connections of readers broke`;
}

/** What stands in a live log for what its agent could not deliver in time. */
export const leftOut = /\n\[\.\.\. \d+ bytes left out of the live log \.\.\.\]\n/;

/** Also of builds whose submission nobody was told of. */
async function allEnded(databaseUrl: string): Promise<void> {
  await using database = await openServer(databaseUrl, () => {});
  const open = () => database.query("select id from croft.builds where state <> 'finished'");
  await until(async () => (await open()).length === 0, "all builds to end");
}

/** A build and its sessions, as the database has them. */
export interface BuildRow {
  id: number;
  name: string;
  sessions: { token: string; attempt: number; state: string; status: string | null; fault: string | null }[];
}

/** Every build there is; each is to have ended, by one result. */
export async function readSuccesses(databaseUrl: string): Promise<BuildRow[]> {
  await using database = await openServer(databaseUrl, () => {});
  const builds = await database.query<{ id: number; name: string; status: string; session: number }>(
    "select id, name, status, session from croft.builds order by id",
  );
  const sessions = await database.query<BuildRow["sessions"][number] & { id: number; build: number }>(
    "select id, build, token, attempt, state, status, fault from croft.sessions order by build, attempt",
  );
  return builds.map(({ id, name, status, session }) => {
    const own = sessions.filter(({ build }) => build === id);
    const accepted = own.filter((one) => one.state === "finished" && one.status === "success");
    assert.equal(status, "success", `build ${id}`);
    assert.deepEqual([accepted.length, accepted[0]?.id], [1, session], `build ${id} has one result`);
    return { id, name, sessions: own };
  });
}
