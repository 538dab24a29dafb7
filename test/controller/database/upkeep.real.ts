/** The embedded database stays as small as what is in it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { BuildQueue } from "../../../controller/builds/queue.ts";
import { openEmbedded, type EmbeddedDatabase } from "../../../controller/database/embedded.ts";
import { migrate } from "../../../controller/database/migrations.ts";
import { startUpkeep } from "../../../controller/database/upkeep.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { silentLog } from "../../../os/log.ts";
import { until } from "../until.ts";
import { layDatabase } from "../../fixtures/databases.ts";
import { patienceMs } from "../../fixtures/patience.ts";

const specification = {
  name: "x",
  version: "0",
  repository: "https://x.org/x.git",
  target: "default",
  triplet: "x86_64-linux-gnu",
  machine: "*",
  toolchain: "*",
  warnings: [],
  priority: 0,
  timeoutSeconds: 1,
};

const taker = { host: "host", hasAlternative: () => false };

/** Gives out and takes back, many times. */
async function claim(database: EmbeddedDatabase, queue: BuildQueue, name: string): Promise<void> {
  for (let batch = 0; batch < 5; batch++)
    await database.transaction(async (sql) => {
      for (let count = 0; count < 100; count++)
        await queue.putBack(sql, (await queue.take(sql, { name, target: "default" }, taker))!, {
          kind: count % 2 === 0 ? "abort" : "interrupt",
        });
    });
}

describe("the embedded database", { timeout: patienceMs }, () => {
  test("does not grow by claims: it is vacuumed when enough rows have changed", async () => {
    await using directory = await temporaryDirectory("croft-test-upkeep-");
    await layDatabase(directory.path);
    await using database = await openEmbedded(join(directory.path, "database"));
    await migrate(database);
    const settings = { changedRows: 1500, everyMs: 1e9, idleMs: 1, checkMs: 10 };
    await using _upkeep = startUpkeep(database, silentLog(), settings);
    const queue = new BuildQueue(database);
    const name = await queue.ensure({ target: "default", machine: "*", toolchain: "*", interactive: false });
    await database.transaction((sql) => queue.add(sql, name, specification, null, null));
    const sizes: number[] = [];
    for (let round = 0; round < 3; round++) {
      await claim(database, queue, name);
      await until(() => Promise.resolve(database.use.changedRows < settings.changedRows), "a vacuum");
      const [row] = await database.query<{ bytes: number }>(
        `select (pg_total_relation_size('croft.builds') + pg_total_relation_size('croft.queues'))::integer as bytes`,
      );
      sizes.push(row!.bytes);
    }
    assert.ok(sizes.at(-1)! <= sizes[1]! * 1.1, `bytes after each 500 claims: ${sizes.join(", ")}`);
  });

  test("does not grow by proofs of agents that come and go", async () => {
    await using directory = await temporaryDirectory("croft-test-upkeep-");
    await layDatabase(directory.path);
    await using database = await openEmbedded(join(directory.path, "database"));
    await migrate(database);
    const settings = { changedRows: 500, everyMs: 1e9, idleMs: 1, checkMs: 10 };
    await using _upkeep = startUpkeep(database, silentLog(), settings);
    const sizes: number[] = [];
    for (let round = 0; round < 6; round++) {
      await database.query(
        "insert into croft.proofs select 'f', $1 || n, n from generate_series(1, 5000) as n",
        [`${round}-`],
      );
      await database.query("delete from croft.proofs");
      await until(() => Promise.resolve(database.use.changedRows < settings.changedRows), "a vacuum");
      const [row] = await database.query<{ bytes: number }>(
        "select pg_total_relation_size('croft.proofs')::integer as bytes",
      );
      sizes.push(row!.bytes);
    }
    // An index keeps pages that were emptied last until the next time.
    assert.ok(sizes.at(-1)! <= sizes[1]! * 1.5, `bytes after each 5000 proofs: ${sizes.join(", ")}`);
  });
});
