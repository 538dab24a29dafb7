/** Where a column has few different values, rows with a rare one are found without going through the others. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { BuildQueue } from "../../../controller/builds/queue.ts";
import { alongIndex } from "../../../controller/database/along-index.ts";
import { openEmbedded, type EmbeddedDatabase } from "../../../controller/database/embedded.ts";
import { migrate } from "../../../controller/database/migrations.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { layDatabase } from "../../fixtures/databases.ts";
import { patienceMs } from "../../fixtures/patience.ts";

const count = 3000;

/** Builds of which the first alone has failed. */
async function fill(database: EmbeddedDatabase): Promise<void> {
  const queue = { target: "x", machine: "*", toolchain: "*", interactive: false };
  const name = await new BuildQueue(database).ensure(queue);
  await database.query(
    `insert into croft.builds (name, version, target, repository, specification, queue, priority, queue_priority, state,
       status, rank)
     select 'x', '0', 'x', 'https://x.org/x.git', '{}', $2, 0, 0, 'finished', case n when 1 then 'error' else 'success' end, n
     from generate_series(1, $1::integer) as n`,
    [count, name],
  );
  await database.query("analyze croft.builds");
}

interface Node {
  "Actual Rows": number;
  "Rows Removed by Filter"?: number;
  Plans?: Node[];
}

/** How many rows a plan has looked at. */
function looked(node: Node): number {
  const here = node["Actual Rows"] + (node["Rows Removed by Filter"] ?? 0);
  return Math.max(here, ...(node.Plans ?? []).map(looked));
}

test(
  "rows that have values in common are found at their place, newest or oldest first",
  { timeout: patienceMs },
  async () => {
    await using directory = await temporaryDirectory("croft-test-index-");
    await layDatabase(directory.path);
    await using database = await openEmbedded(join(directory.path, "database"));
    await migrate(database);
    await fill(database);
    const alike = alongIndex({ status: "s.status" });
    const select = (order: string) =>
      `select b.id from unnest(array['error', 'abort', 'success']) as s (status) cross join lateral (
         select id from croft.builds where ${alike.condition} order by ${order} limit 1) as b`;
    for (const [order, ids] of [
      [alike.newestFirst, [1, count]],
      [alike.oldestFirst, [1, 2]],
    ] as const) {
      const rows = await database.query<{ id: number }>(select(order));
      assert.deepEqual(
        rows.map(({ id }) => id),
        ids,
      );
      const [explained] = await database.query<{ "QUERY PLAN": [{ Plan: Node }] }>(
        `explain (analyze, format json) ${select(order)}`,
      );
      assert.ok(looked(explained!["QUERY PLAN"][0].Plan) <= 3, JSON.stringify(explained));
    }
    const below = alongIndex({ status: "'success'" }, 100);
    const [last] = await database.query<{ id: number }>(
      `select id from croft.builds where ${below.condition} order by ${below.newestFirst} limit 1`,
    );
    assert.equal(last!.id, 99);
  },
);
