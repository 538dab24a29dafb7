/** Controllers of two versions on one database: the later one changes its tables while the earlier one works, or says why not. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { OpenController } from "../../../controller/controller.ts";
import type { Database } from "../../../controller/database/database.ts";
import { croftTables, knownTables, migrate } from "../../../controller/database/migrations.ts";
import { openServer } from "../../../controller/database/server.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { endNext, takeNext } from "../built.ts";
import { noPostgres, startPostgres } from "../database/postgres.ts";
import { openOn } from "../in-process.ts";

const what = { name: "x", version: "0", repository: "https://x.org/x.git", targets: ["*"], priority: 0 };
const added =
  "alter table croft.builds add column later text; create table croft.later (id integer primary key)";

describe("a later version's controller", { skip: noPostgres, timeout: patienceMs }, () => {
  const stack = new AsyncDisposableStack();
  let path: string;
  let url: string;
  let database: Database;
  let earlier: OpenController;
  before(async () => {
    ({ path } = stack.use(await temporaryDirectory("croft-test-upgrade-")));
    ({ url } = stack.use(await startPostgres()));
    database = stack.use(await openServer(url, () => {}));
    earlier = stack.use(await openOn(path, url));
  });
  after(() => stack.disposeAsync());

  test("changes the tables while an earlier one works, which goes on, and may be started again", async () => {
    const { steps } = croftTables;
    for (let count = 0; count < 20; count++) await earlier.builds.submit(what, null);
    const session = await takeNext(earlier);
    let isOver = false;
    const working = (async () => {
      let ended = 0;
      while (!isOver || ended === 0) {
        await earlier.builds.submit(what, null);
        await endNext(earlier, "success");
        ended++;
      }
    })();
    await migrate(database, "later", { steps: [...steps, added], unbearable: [] }).finally(
      () => (isOver = true),
    );
    await working;
    assert.equal(
      await earlier.results.store(session, { version: "1", status: "success", operations: [] }),
      "stored",
    );
    await using again = await openOn(path, url);
    await endNext(again, "success");
    assert.equal(await migrate(database), true, "it is told that the tables are those of a later one");
  });

  test("is refused while an earlier one works that could not go on; after its end no such one is started any more", async () => {
    const { steps } = croftTables;
    const tables = {
      steps: [...steps, added, "alter table croft.builds rename column target to goal"],
      unbearable: [knownTables + 2],
    };
    await assert.rejects(migrate(database, "later", tables), (error: Error & { hints?: string[] }) => {
      assert.match(
        error.message,
        /^Cannot change the tables of the database: a controller of an earlier version uses them \(.+\), and could not any more$/,
      );
      assert.match(error.hints!.join(), /Stop all controllers of earlier versions, and start this one again/);
      return true;
    });
    await earlier.builds.submit(what, null);
    await endNext(earlier, "success");
    await earlier[Symbol.asyncDispose]();
    await database.query("update croft.controllers set seen_at = seen_at - interval '16 seconds'");
    assert.equal(await migrate(database, "later", tables), false);
    await assert.rejects(
      openOn(path, url),
      /Cannot use the database: a later version of croft made its tables/,
    );
  });
});
