/** A hundred builds by eight agents behind HAProxy while controllers, PostgreSQL, the balancer and the bucket's service die by chance */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openServer } from "../../../controller/database/server.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { balancerKinds, startBalancer } from "../../fixtures/services/balancers.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { freePort } from "../../fixtures/ports.ts";
import { simulateAgent } from "../../fixtures/simulated-agent.ts";
import { sendArtifact, sendLiveLog } from "../../fixtures/simulated-work.ts";
import { noSwift, startSwift } from "../../fixtures/services/swift.ts";
import { noPostgres, startPostgres, type PostgresServer } from "../database/postgres.ts";
import { makeFarm, readBuild, submit, type BuildAnswer, type Farm, type RunningController } from "../farm.ts";
import { until } from "../until.ts";
import { Reader } from "./reader.ts";

const builds = Number(process.env["CROFT_BALANCED_BUILDS"] ?? 100);
/** Each of what can die does so at least so often. */
const rounds = Number(process.env["CROFT_BALANCED_ROUNDS"] ?? 2);
const agents = 8;
/** Builds that wait or are built, at most: the last ones are submitted when everything has died. */
const mostOpen = 2 * agents;
const [haproxy] = balancerKinds;

/** Something that can die, and comes back. */
interface Mortal {
  name: string;
  die(): Promise<void>;
  comeBack(): Promise<void>;
}

interface Whole extends AsyncDisposable {
  url: string;
  postgres: PostgresServer;
  mortals: readonly Mortal[];
}

async function startAll(): Promise<Whole> {
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
  const balancer = stack.use(await startBalancer(haproxy!, { port, controllers: addresses }));
  const mortals = [
    ...controllers,
    ...[
      { name: "database", die: () => postgres.stop(), comeBack: () => postgres.start() },
      { name: "balancer", die: () => balancer.stop(), comeBack: () => balancer.start() },
      { name: "bucket", die: () => swift.stop(), comeBack: () => swift.start() },
    ],
  ];
  const held = stack.move();
  return { url, postgres, mortals, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** Without database or storage it does not start; then it is started again, as a service manager does. */
async function mortalController(farm: Farm, address: string): Promise<Mortal> {
  let running: RunningController = await farm.start("--listen", address);
  return {
    name: `controller ${address.split(":")[1]}`,
    die: async () => void (await running.end("SIGKILL")),
    comeBack: async () => {
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
    deaths.push(...victims.map(({ name }) => name));
    await Promise.all(
      victims.map(async ({ die, comeBack }) => {
        await die();
        await sleep(500 + Math.random() * 3000);
        await comeBack();
      }),
    );
    const pauseMs = Math.max(1000 + Math.random() * 3000, performance.now() - began);
    await sleep(pauseMs, undefined, { signal }).catch(() => {});
  }
}

/** What an agent has sent of an attempt. */
interface Sent {
  log: string;
  /** Whether the controller has taken the end of the log, or a mark in its place. */
  isWhole: boolean;
  artifact: string | undefined;
}

/** Asks again until it is answered; what was submitted twice by that is built twice. */
async function insist<T>(work: () => Promise<T>): Promise<T> {
  for (;;)
    try {
      return await work();
    } catch {
      await sleep(200);
    }
}

const digestOf = (content: Uint8Array | string) => createHash("sha256").update(content).digest("hex");

describe(
  "a farm of which everything dies by chance",
  {
    skip: haproxy!.absent || noPostgres || noSwift,
    timeout: 3 * patienceMs,
  },
  () => {
    test("has one result of each build, each log and artifact whole, and each reader reads all of it once", async (context) => {
      await using whole = await startAll();
      await using directory = await temporaryDirectory("croft-test-balanced-");
      const { url } = whole;
      const over = new AbortController();
      const peace = new AbortController();
      const readers = new Map<number, Reader>();
      /** Live logs and artifacts by session, as they were sent. */
      const sent = new Map<string, Sent>();
      const stored = new Map<string, number>();
      const working = Array.from({ length: agents }, (_, index) =>
        simulateAgent(
          {
            ...{ name: `host-${index}`, machine: "debian_13", urls: [url], pollSeconds: 2 },
            given: async (received) => {
              const { session } = received.response;
              const pieces = Array.from({ length: 4 }, () => `${randomBytes(2000).toString("base64")}\n`);
              const artifact = randomBytes(9 << 20);
              let log = "";
              const isWhole = await sendLiveLog(received, pieces, async (written) => {
                log = written;
                await sleep(300 + Math.random() * 700);
              });
              const path = join(directory.path, `artifact-${index}`);
              const digest = await sendArtifact(received, path, artifact, over.signal);
              sent.set(session, { log, isWhole, artifact: digest });
            },
            told: ({ response }, how) => {
              if (how === "stored") stored.set(response.session, (stored.get(response.session) ?? 0) + 1);
            },
          },
          over.signal,
        ),
      );
      const deaths: string[] = [];
      const killing = kill(whole.mortals, deaths, peace.signal);
      const open = () => [...readers.values()].filter(({ status }) => status === null).length;
      try {
        for (let count = 0; count < builds || deaths.length < rounds * whole.mortals.length; count++) {
          await until(async () => open() < mostOpen, "an end of a build");
          const id = await insist(() => submit(url, { name: `build-${count}` }));
          readers.set(id, new Reader(url, id, over.signal));
        }
        const all = Promise.all([...readers.values()].map(({ done }) => done));
        await Promise.race([all, Promise.all(working)]);
        peace.abort();
        await killing;
        await until(
          async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.status === 200,
          "peace",
        );
      } finally {
        peace.abort();
        over.abort();
        await Promise.allSettled([...working, killing]);
      }
      const breaks = [...readers.values()].reduce((sum, reader) => sum + reader.breaks, 0);
      context.diagnostic(
        `${deaths.length} deaths: ${deaths.join(", ")}; ${breaks} connections of readers broke`,
      );
      await using database = await openServer(whole.postgres.url, () => {});
      let attempts = 0;
      for (const [id, reader] of readers) {
        const build = await insist(() => readBuild(url, id));
        assert.equal(build.status, "success", `build ${id}`);
        assert.equal(reader.status, "success");
        const sessions = await database.query<{ token: string; attempt: number; state: string }>(
          "select token, attempt, state from croft.sessions where build = $1",
          [id],
        );
        attempts += sessions.length;
        const finished = sessions.filter(({ state }) => state === "finished");
        assert.equal(finished.length, 1, `build ${id} has ${finished.length} results`);
        await assertWhole(url, id, build, sent.get(finished[0]!.token)!.artifact);
        for (const { token, attempt } of sessions)
          if (sent.has(token))
            assertLog(reader.logs.get(attempt) ?? "", sent.get(token)!, `build ${id}, attempt ${attempt}`);
      }
      context.diagnostic(`${readers.size} builds, ${attempts} attempts, ${stored.size} results taken`);
      const counts = await database.query("select state, count(*)::integer from croft.builds group by state");
      context.diagnostic(`builds by state: ${JSON.stringify(counts)}`);
    });
  },
);

async function assertWhole(
  url: string,
  id: number,
  build: BuildAnswer,
  digest: string | undefined,
): Promise<void> {
  const [operation] = build.operations;
  const log = await insist(async () => await (await fetch(operation!.logUrl)).text());
  assert.match(log, /^built build-\d+\n$/, `build ${id}`);
  assert.ok(digest, `build ${id}: its artifact was taken`);
  const found = build.artifacts.find(({ sha256 }) => sha256 === digest);
  assert.ok(found, `build ${id} at ${url} has its artifact`);
  const content = await insist(async () => await (await fetch(found.url)).bytes());
  assert.equal(digestOf(content), digest, `build ${id}`);
}

/**
 * A live log is a courtesy: what a controller that was away for long has not taken is left out, with a mark; or without one, if
 * it was away until the agent had given up that, too.
 */
function assertLog(read: string, { log: written, isWhole }: Sent, where: string): void {
  const [whole = "", ...rest] = read.split(/\n\[\.\.\. \d+ bytes left out of the live log \.\.\.\]\n/);
  assert.ok(
    rest.every((text) => text === ""),
    `${where}: nothing comes after what was left out`,
  );
  const same = [...whole].findIndex((letter, index) => letter !== written[index]);
  assert.equal(same, -1, `${where}: differs from byte ${same} on, of ${whole.length} and ${written.length}`);
  if (rest.length === 0 && isWhole) assert.equal(whole.length, written.length, where);
}
