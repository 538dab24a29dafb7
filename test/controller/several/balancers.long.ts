/** A hundred builds by eight agents behind HAProxy while controllers, PostgreSQL, the balancer and the bucket's service die by chance */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { balancerKinds } from "../../fixtures/services/balancers.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { simulateAgent } from "../../fixtures/simulated-agent.ts";
import { sendArtifact, sendLiveLog } from "../../fixtures/simulated-work.ts";
import { noSwift } from "../../fixtures/services/swift.ts";
import { noPostgres } from "../database/postgres.ts";
import { readBuild, submit, type BuildAnswer } from "../farm.ts";
import {
  digestOf,
  insist,
  leftOut,
  readSuccesses,
  startMortalFarm,
  surviveDeaths,
  tellDeaths,
} from "./mortal-farm.ts";

const builds = Number(process.env["CROFT_BALANCED_BUILDS"] ?? 100);
/** Each of what can die does so at least so often. */
const rounds = Number(process.env["CROFT_BALANCED_ROUNDS"] ?? 2);
const agents = 8;
const [haproxy] = balancerKinds;

/** What an agent has sent of an attempt. */
interface Sent {
  log: string;
  /** Whether the controller has taken the end of the log, or a mark in its place. */
  isWhole: boolean;
  artifact: string | undefined;
}

describe(
  "a farm of which everything dies by chance",
  {
    skip: haproxy!.absent || noPostgres || noSwift,
    timeout: 3 * patienceMs,
  },
  () => {
    test("has one result of each build, each log and artifact whole, and each reader reads all of it once", async (context) => {
      await using farm = await startMortalFarm(haproxy!);
      await using directory = await temporaryDirectory("croft-test-balanced-");
      const { url } = farm;
      const over = new AbortController();
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
      const submitOne = (count: number) => submit(url, { name: `build-${count}` });
      const { readers, deaths } = await surviveDeaths(farm, {
        ...{ builds, rounds, mostOpen: 2 * agents, submit: submitOne, working: Promise.all(working) },
      }).finally(async () => {
        over.abort();
        await Promise.allSettled(working);
      });
      context.diagnostic(tellDeaths({ readers, deaths }));
      const rows = await readSuccesses(farm.databaseUrl);
      let attempts = 0;
      for (const { id, sessions } of rows) {
        const build = await insist(() => readBuild(url, id));
        attempts += sessions.length;
        const accepted = sessions.find(({ status }) => status === "success")!;
        await assertWhole(url, id, build, sent.get(accepted.token)!.artifact);
        const reader = readers.get(id);
        if (reader === undefined) continue;
        assert.equal(reader.status, "success");
        for (const { token, attempt } of sessions)
          if (sent.has(token))
            assertLog(reader.logs.get(attempt) ?? "", sent.get(token)!, `build ${id}, attempt ${attempt}`);
      }
      context.diagnostic(`${rows.length} builds, ${attempts} attempts, ${stored.size} results taken`);
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
  const [whole = "", ...rest] = read.split(leftOut);
  assert.ok(
    rest.every((text) => text === ""),
    `${where}: nothing comes after what was left out`,
  );
  const same = [...whole].findIndex((letter, index) => letter !== written[index]);
  assert.equal(same, -1, `${where}: differs from byte ${same} on, of ${whole.length} and ${written.length}`);
  if (rest.length === 0 && isWhole) assert.equal(whole.length, written.length, where);
}
