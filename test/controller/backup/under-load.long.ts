/** A backup of an embedded controller while 50 builds a minute come in, restored elsewhere at the same address while agents build */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { packageFile } from "../../../os/files/package.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { run } from "../../../os/run.ts";
import { patienceMs, patienceSeconds } from "../../fixtures/patience.ts";
import { freePort } from "../../fixtures/ports.ts";
import { simulateAgent } from "../../fixtures/simulated-agent.ts";
import { sendArtifact, sendLiveLog } from "../../fixtures/simulated-work.ts";
import { makeFarm, readBuild, startController, submit } from "../farm.ts";
import { until } from "../until.ts";

/** 50 a minute. */
const everyMs = 1200;
/** So long builds come in before the backup, between it and the controller's death, and after it is back elsewhere. */
const seconds = { before: 60, between: 10, after: 30 };
const agents = 8;

/** What a build of a name makes, whoever builds it. */
const artifactOf = (name: string) => Buffer.from(`${name}\n`.repeat(20_000));
const digestOf = (content: Uint8Array) => createHash("sha256").update(content).digest("hex");

const command = (...args: string[]) =>
  run([process.execPath, packageFile("bin", "main.ts"), "controller", ...args], {
    timeoutSeconds: patienceSeconds,
  });

test(
  "agents that build when a backup is made, and when it takes the controller's place, report; each build has one result, and is whole",
  { timeout: 3 * patienceMs },
  async (context) => {
    await using place = await temporaryDirectory("croft-test-backup-");
    const [backups, elsewhere] = [join(place.path, "croft.tar"), join(place.path, "data")];
    await using farm = await makeFarm("");
    const address = `127.0.0.1:${await freePort()}`;
    const url = `http://${address}`;
    const old = await farm.start("--listen", address);
    const over = new AbortController();
    /** How many results were answered so. */
    const told = new Map<string, number>();
    let building = 0;
    const working = Array.from({ length: agents }, (_, index) =>
      simulateAgent(
        {
          ...{ name: `host-${index}`, machine: "debian_13", urls: [url], pollSeconds: 2 },
          given: async (received) => {
            building++;
            const { name } = received.task;
            await sendLiveLog(received, ["one\n", "two\n", "three\n"], () =>
              sleep(500 + Math.random() * 2000),
            );
            const path = join(place.path, `artifact-${index}`);
            const digest = await sendArtifact(received, path, artifactOf(name), over.signal);
            building--;
            return digest === undefined ? 0 : 1;
          },
          told: (_received, how) => told.set(String(how), (told.get(String(how)) ?? 0) + 1),
        },
        over.signal,
      ),
    );
    const submitted: { id: number; name: string; when: keyof typeof seconds | "backup" }[] = [];
    let phase: (typeof submitted)[number]["when"] = "before";
    let isOver = false;
    const submitting = (async () => {
      for (let count = 0; !isOver; count++) {
        const name = `build-${count}`;
        const id = await submit(url, { name }).catch(() => undefined); // while there is no controller
        if (id !== undefined) submitted.push({ id, name, when: phase });
        await sleep(everyMs);
      }
    })();
    try {
      await sleep(seconds.before * 1000);
      phase = "backup";
      const atBackup = building;
      const began = performance.now();
      await command("backup", backups, "--data", join(farm.directory, "data"));
      const tookSeconds = (performance.now() - began) / 1000;
      phase = "between";
      await sleep(seconds.between * 1000);
      await old.end("SIGKILL");
      const atDeath = building;
      const restored = await command("restore", backups, "--data", elsewhere);
      await using _again = await startController(["--listen", address, "--data", elsewhere]);
      phase = "after";
      await sleep(seconds.after * 1000);
      isOver = true;
      await submitting;
      const answer = await fetch(`${url}/api/v1/builds?limit=500`);
      const { builds } = (await answer.json()) as { builds: { id: number; name: string }[] };
      const ended = async () =>
        (await Promise.all(builds.map(({ id }) => readBuild(url, id)))).every(
          ({ state }) => state === "finished",
        );
      await until(ended, "all builds to end", patienceMs);
      context.diagnostic(`${restored.stdout.trim()}; the backup took ${tookSeconds.toFixed(1)} s`);
      context.diagnostic(
        `${atBackup} of ${agents} agents were building at the backup, ${atDeath} at the death`,
      );
      context.diagnostic(`results: ${JSON.stringify(Object.fromEntries(told))}`);
      const known = new Map(builds.map(({ id, name }) => [id, name]));
      assert.equal(new Set(known.values()).size, builds.length, "none is there twice");
      for (const { id, name, when } of submitted)
        if (when === "before" || when === "after") assert.equal(known.get(id), name, `build ${id}`);
      const lost = submitted.filter(({ id }) => !known.has(id)).length;
      let again = 0;
      for (const { id, name } of builds) {
        const build = await readBuild(url, id);
        assert.equal(build.status, "success", `build ${id}`);
        assert.equal(build.attempts.filter(({ status }) => status === "success").length, 1, `build ${id}`);
        if (build.attempts.length > 1) again++;
        const log = await (await fetch(build.operations[0]!.logUrl)).text();
        assert.equal(log, `built ${name}\n`);
        assert.deepEqual(
          build.artifacts.map(({ sha256 }) => sha256),
          [digestOf(artifactOf(name))],
          `build ${id}`,
        );
        const content = await (await fetch(build.artifacts[0]!.url)).bytes();
        assert.equal(digestOf(content), build.artifacts[0]!.sha256);
      }
      context.diagnostic(
        `${submitted.length} submitted; ${builds.length} of them known and built, ${again} in more than one attempt; ${lost} came after the backup`,
      );
      assert.deepEqual(
        (await readdir(place.path)).filter((name) => name.endsWith(".unfinished")),
        [],
      );
    } finally {
      isOver = true;
      over.abort();
      await Promise.allSettled([...working, submitting]);
      await old[Symbol.asyncDispose]();
    }
  },
);
