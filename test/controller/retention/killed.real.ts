/**
 * A controller that is killed while it removes old builds, a farm's worth of them if `CROFT_PRUNED_BUILDS` says so;
 * `CROFT_PRUNE_KILLS` times.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { OpenController } from "../../../controller/controller.ts";
import { DirectoryStorage } from "../../../controller/files/directory-storage.ts";
import { packageFile } from "../../../os/files/package.ts";
import { run } from "../../../os/run.ts";
import { layDatabase } from "../../fixtures/databases.ts";
import { patienceMs, patienceSeconds } from "../../fixtures/patience.ts";
import { makeFarm, type Farm, type RunningController } from "../farm.ts";
import { openOn } from "../in-process.ts";

const count = Number(process.env["CROFT_PRUNED_BUILDS"] ?? 300);
const kills = Number(process.env["CROFT_PRUNE_KILLS"] ?? 2);
/** Builds that share a log. */
const sharing = 2;

/** Ended builds, the odd ones of which are old: `count` of them, with a log for each two and a live log each. */
async function fill(controller: OpenController): Promise<void> {
  const { database, directory, builds, sessions, liveLogs } = controller;
  const storage = new DirectoryStorage(directory.blobs);
  const what = {
    name: "first",
    version: "0",
    repository: "https://x.org/x.git",
    targets: ["*"],
    priority: 0,
  };
  const queue = (await builds.submit(what, null))[0]!.queue;
  await sessions.assign({ agent: "host", toolchain: "default", interactive: "false", machines: ["debian"] });
  await builds.cancel(1);
  const digests: string[] = [];
  for (let each = 0; each < count / sharing; each++) {
    const digest = createHash("sha256").update(`log ${each}`).digest("hex");
    await mkdir(dirname(storage.path(digest)), { recursive: true });
    await writeFile(storage.path(digest), `log ${each}`);
    digests.push(digest);
    for (let build = 0; build < sharing; build++)
      await liveLogs.append(2 + each * sharing + build, 0, Buffer.from("live"));
  }
  await database.query(
    `insert into croft.builds (name, version, target, repository, specification, queue, priority, queue_priority, state,
       status, rank, finished_at)
     select 'many', '0', 'default', 'x', '{}', $1, 0, 0, 'finished', 'error', 0,
       now() - case when g % 4 < 2 then interval '40 days' else interval '2 hours' end
     from generate_series(0, $2::integer - 1) g`,
    [queue, count],
  );
  await database.query(
    `insert into croft.sessions (token, build, attempt, agent, toolchain, machine, state, status, lease_seconds, expires_at)
     select 'token-' || id, id, 1, 'host', 'default', 'debian', 'finished', 'error', 1, now()
     from croft.builds where name = 'many' order by id`,
  );
  await database.query(
    `insert into croft.operations (session, ordinal, name, status, log_digest, log_bytes, log_lines, warnings, errors)
     select s.id, 0, 'update', 'error', ($1::text[])[1 + (s.id - 2) / $2::integer], 5, 1, 0, 0
     from croft.sessions s where s.token like 'token-%'`,
    [digests, sharing],
  );
  await database.query("update croft.queues set finished = $1", [count]);
  await database.query(
    "insert into croft.blobs select digest, 5, now() - interval '2 hours' from unnest($1::text[]) digest",
    [digests],
  );
}

function filesIn(directory: string): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    .length;
}

/** Has it remove what is old, and kills it as soon as it is seen to have removed a file. */
async function killAmidst(farm: Farm, controller: RunningController, part: string): Promise<void> {
  const directory = join(farm.directory, "data", part);
  const before = filesIn(directory);
  const argv = [process.execPath, packageFile("bin", "main.ts"), "controller", "prune", "--days", "30"];
  const pruning = run([...argv, "--data", join(farm.directory, "data")], {
    ...{ timeoutSeconds: patienceSeconds, accept: [0, 1] },
  });
  let isOver = false;
  void pruning.finally(() => (isOver = true));
  while (!isOver && filesIn(directory) === before) await sleep(1);
  await controller.end("SIGKILL");
  await pruning;
}

test(
  "killed in the midst of removing old builds, a controller has lost nothing else, and removes the rest the next time",
  { timeout: (1 + count / 1000) * patienceMs },
  async () => {
    await using farm = await makeFarm();
    await layDatabase(join(farm.directory, "data"));
    {
      await using controller = await openOn(farm.directory, "embedded");
      await fill(controller);
    }
    for (let kill = 0; kill < kills; kill++) {
      await using controller = await farm.start();
      await killAmidst(farm, controller, kill % 2 === 0 ? "logs" : "blobs");
    }
    await using controller = await openOn(farm.directory, "embedded");
    await controller.retention.prune({ days: 30 });
    const { database, blobs, directory, liveLogs } = controller;
    const left = await database.query<{ id: number }>("select id from croft.builds where name = 'many'");
    assert.equal(left.length, count / 2);
    const sessions = await database.query<{ id: number }>(
      "select id from croft.sessions where token like 'token-%' order by id",
    );
    assert.equal(sessions.length, count / 2);
    const known = await liveLogs.sessions();
    assert.deepEqual(
      known.sort((one, other) => one - other),
      sessions.map(({ id }) => id),
    );
    const referred = await database.query<{ digest: string }>(
      "select distinct log_digest as digest from croft.operations",
    );
    for (const { digest } of referred)
      assert.equal(
        createHash("sha256")
          .update(await text(blobs.read(digest)))
          .digest("hex"),
        digest,
      );
    assert.equal(referred.length, count / 2 / sharing);
    assert.equal(filesIn(directory.blobs), referred.length);
    const [rows] = await database.query("select count(*)::integer as count from croft.blobs");
    assert.deepEqual(rows, { count: referred.length });
    const [queue] = await database.query("select sum(finished)::integer as finished from croft.queues");
    assert.deepEqual(queue, { finished: count / 2 });
  },
);
