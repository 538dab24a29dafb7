/** `croft controller migrate`: from the embedded database to a server, and on from there. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { moveRows } from "../../../controller/backup/move-to-server.ts";
import { tablesOf } from "../../../controller/backup/tables.ts";
import type { Database } from "../../../controller/database/database.ts";
import { openEmbedded } from "../../../controller/database/embedded.ts";
import { migrate } from "../../../controller/database/migrations.ts";
import { openServer } from "../../../controller/database/server.ts";
import { openDataDirectory } from "../../../controller/files/data-directory.ts";
import { startServer } from "../../../controller/server.ts";
import { silentLog } from "../../../os/log.ts";
import { packageFile } from "../../../os/files/package.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { run } from "../../../os/run.ts";
import { layDatabase } from "../../fixtures/databases.ts";
import { patienceMs, patienceSeconds } from "../../fixtures/patience.ts";
import { noPostgres, startPostgres } from "../database/postgres.ts";
import { readBuild, requestTask, sendLog, sendResult, submit, type ReceivedTask } from "../farm.ts";
import { openOn } from "../in-process.ts";

/** A database whose transactions fail when they have done all. */
function failing(database: Database): Database {
  return {
    ...database,
    transaction: (work) =>
      database.transaction(async (sql) => {
        await work(sql);
        throw new Error("died");
      }),
  };
}

/** All rows, as text. */
async function contentsOf(database: Database): Promise<Record<string, string[]>> {
  const contents: Record<string, string[]> = {};
  await database.query("set timezone to 'UTC'");
  for (const table of await tablesOf(database)) {
    const rows = await database.query<{ row: string }>(
      `select to_json(t)::text as row from croft.${table} t`,
    );
    contents[table] = rows.map(({ row }) => row).sort();
  }
  return contents;
}

describe("moving to a database server", { skip: noPostgres, timeout: patienceMs }, () => {
  test("moves all there is or nothing, and the farm goes on: what was building, logs, numbers, tokens", async () => {
    await using place = await temporaryDirectory("croft-test-migrate-");
    await using server = await startPostgres();
    const data = join(place.path, "data");
    const config = join(place.path, "server.yaml");
    await writeFile(config, `database: ${server.url}\n`);
    const move = async () =>
      (
        await run(
          [
            process.execPath,
            packageFile("bin", "main.ts"),
            "controller",
            "migrate",
            "--config",
            config,
            "--data",
            data,
          ],
          { timeoutSeconds: patienceSeconds },
        )
      ).stdout;
    await layDatabase(data);
    let held: ReceivedTask;
    let last: number;
    {
      await using farm = await openOn(place.path, "embedded", "listen: 127.0.0.1:0\n");
      await using listening = await startServer(farm);
      const { url } = listening;
      await submit(url);
      await sendResult(await requestTask(url), "success", [["update", "success", "the first log\n"]]);
      await submit(url, { name: "é\\\"'\n".trim() });
      held = await requestTask(url);
      await sendLog(held, 0, Buffer.from([0, 255, 10, 92]));
      await farm.pauses.pause({ kind: "target", name: "default" }, 'for "now"', null);
      last = await submit(url);
      await farm.tokens.create("ann", "submit");
      await assert.rejects(move(), /another controller holds it/);
    }
    {
      await using source = await openEmbedded(join(data, "database"));
      await using target = await openServer(server.url, () => {});
      await migrate(target);
      await using directory = await openDataDirectory(data, false, silentLog());
      const empty = await contentsOf(target);
      await assert.rejects(moveRows(source, failing(target), directory, server.url), /died/);
      assert.deepEqual(await contentsOf(target), empty, "nothing has moved");
    }
    assert.match(await move(), /^ {2}builds +3$[^]*^ {2}live logs +1$/m);
    await assert.rejects(move(), /there are rows in croft\.\w+ already/);
    {
      await using source = await openEmbedded(join(data, "database"));
      await using target = await openServer(server.url, () => {});
      const [before, after] = [await contentsOf(source), await contentsOf(target)];
      const own = { schema_version: [], controllers: [], live_logs: [], live_log_chunks: [] };
      assert.deepEqual({ ...after, ...own }, { ...before, ...own });
    }
    await using farm = await openOn(place.path, server.url, "listen: 127.0.0.1:0\n");
    await using listening = await startServer(farm);
    const { url } = listening;
    const live = await fetch(`${url}/api/v1/builds/2/log`);
    assert.deepEqual([...new Uint8Array(await live.arrayBuffer())].slice(-2), [10, 92]);
    const moved = { ...held, resultUrl: held.resultUrl!.replace(/^http:\/\/[^/]+/, url) };
    assert.equal((await sendResult(moved, "success", [["update", "success", "held\n"]])).status, 204);
    const [operation] = (await readBuild(url, 1)).operations;
    assert.equal(await (await fetch(operation!.logUrl)).text(), "the first log\n");
    assert.equal((await farm.pauses.list()).length, 1);
    const [next] = await farm.builds.submit(
      { name: "next", version: "0", repository: "https://x.org/x.git", targets: ["*"], priority: 0 },
      "ann",
    );
    assert.equal(next!.id, last + 1);
  });
});
