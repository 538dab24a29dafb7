/** A hundred builds in machines of eight agents behind HAProxy while controllers, PostgreSQL, the balancer and the bucket's service die by chance */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { balancerKinds } from "../../fixtures/services/balancers.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { noSwift } from "../../fixtures/services/swift.ts";
import { noPostgres } from "../database/postgres.ts";
import { readBuild, submit } from "../farm.ts";
import { until } from "../until.ts";
import { insist, readSuccesses, startMortalFarm, surviveDeaths, tellDeaths } from "./mortal-farm.ts";
import { assertArtifact, assertLiveLog, assertLog, RealAgents } from "./real-agents.ts";

const builds = Number(process.env["CROFT_BALANCED_BUILDS"] ?? 100);
/** Each of what can die does so at least so often. */
const rounds = Number(process.env["CROFT_BALANCED_ROUNDS"] ?? 2);
const agents = Number(process.env["CROFT_BALANCED_AGENTS"] ?? 8);
const kind = balancerKinds.find(({ name }) => name === (process.env["CROFT_BALANCED_BY"] ?? "haproxy"))!;

async function textAt(url: string): Promise<string> {
  return await insist(async () => {
    const answer = await fetch(url);
    if (answer.status !== 200) throw new Error(`${url}: ${answer.status}`);
    return answer.text();
  });
}

describe(
  "agents with machines at a farm of which everything dies by chance",
  { skip: kind.absent || noPostgres || noSwift, timeout: 6 * patienceMs },
  () => {
    test("each build has one result, its log and artifact are whole, and its reader reads all of it once", async (context) => {
      await using farm = await startMortalFarm(kind);
      const { url } = farm;
      await using host = await RealAgents.start(agents, url);
      const submitOne = async (count: number) => submit(url, await host.add(`build-${count}`));
      const began = Date.now();
      const survived = await surviveDeaths(farm, {
        ...{ builds, rounds, mostOpen: 2 * agents, submit: submitOne, working: host.failed() },
      });
      context.diagnostic(`${tellDeaths(survived)}; ${Math.round((Date.now() - began) / 1000)} s`);
      await until(async () => host.spooled().length === 0, "agents to have delivered everything");
      const rows = await readSuccesses(farm.databaseUrl);
      const ends = new Map<string, number>();
      const followed = new Map<string, number>();
      for (const { id, name, sessions } of rows) {
        for (const { state, status, fault } of sessions) {
          const how = [state, status, fault].filter((one) => one !== null).join(", ");
          ends.set(how, (ends.get(how) ?? 0) + 1);
        }
        const { operations, artifacts } = await insist(() => readBuild(url, id));
        const { logUrl } = operations.find((one) => one.name === "update")!;
        assertLog(await textAt(logUrl), name, `build ${id}`);
        assert.deepEqual(
          artifacts.map((one) => one.name),
          [`${name}.txt`],
        );
        assertArtifact(await textAt(artifacts[0]!.url), name, `build ${id}`);
        const reader = survived.readers.get(id);
        if (reader === undefined) continue;
        assert.equal(reader.status, "success");
        for (const [attempt, read] of reader.logs) {
          const how = assertLiveLog(read, name, `build ${id}, attempt ${attempt}`);
          followed.set(how, (followed.get(how) ?? 0) + 1);
        }
      }
      context.diagnostic(`${rows.length} builds; attempts: ${JSON.stringify(Object.fromEntries(ends))}`);
      context.diagnostic(`live logs as they were followed: ${JSON.stringify(Object.fromEntries(followed))}`);
      await host.end();
    });
  },
);
