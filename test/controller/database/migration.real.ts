/**
 * Data that the version before made, when a queue library kept a job for each build: `data.tar.xz` is a whole data
 * directory, `database.sql.gz` the same on a database server. Builds in them: ended (1, 2), with an agent (3),
 * interrupted (4), queued again after their lease (6) or an abort (19), and queued of two submitters and nobody.
 */
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { readControllerConfiguration } from "../../../controller/configuration.ts";
import { openController, type OpenController } from "../../../controller/controller.ts";
import type { Database } from "../../../controller/database/database.ts";
import { openEmbedded } from "../../../controller/database/embedded.ts";
import { migrate } from "../../../controller/database/migrations.ts";
import { openServer } from "../../../controller/database/server.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { silentLog } from "../../../os/log.ts";
import { run } from "../../../os/run.ts";
import { noPostgres, startPostgres } from "./postgres.ts";
import { patienceMs } from "../../fixtures/patience.ts";

const fixtures = join(import.meta.dirname, "../../fixtures/controller-before");
const targets =
  "targets:\n  - { name: debian, machine: debian_* }\n  - { name: fedora, machine: fedora_* }\n";

/** Ids in the order in which the version before would have given them. */
const debian = [4, 13, 7, 9, 11, 14, 15, 16, 17];
const fedora = [19, 6, 5, 8, 10, 12, 18];

interface Before extends AsyncDisposable {
  data: string;
  url: string;
  openDatabase(): Promise<Database>;
}

async function before(kind: string): Promise<Before> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await temporaryDirectory("croft-test-migration-"));
  const data = join(path, "data");
  await mkdir(data);
  let url = "embedded";
  if (kind === "embedded")
    await run(["tar", "-xJf", join(fixtures, "data.tar.xz"), "-C", data], { timeoutSeconds: 60 });
  else {
    url = stack.use(await startPostgres()).url;
    await using database = await openServer(url, () => {});
    await database.query(gunzipSync(await readFile(join(fixtures, "database.sql.gz"))).toString());
  }
  const held = stack.move();
  return {
    data,
    url,
    openDatabase: () =>
      kind === "embedded" ? openEmbedded(join(data, "database")) : openServer(url, () => {}),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

async function open({ data, url }: Before): Promise<OpenController> {
  const config = `${data}.yaml`;
  await writeFile(config, `database: ${url}\n${targets}`);
  return await openController(readControllerConfiguration({ config, data }), silentLog());
}

async function takeAll(controller: OpenController, machine: string): Promise<number[]> {
  const ids: number[] = [];
  const offer = { agent: "host", toolchain: "default", interactive: "false", machines: [machine] } as const;
  for (;;) {
    const assignment = await controller.sessions.assign(offer);
    if (!assignment) return ids;
    ids.push(assignment.build.id);
  }
}

/** Of how many statements one is where the change breaks off: there are some hundreds, and what precedes it runs each time. */
const stride = process.env["CROFT_EVERY_STATEMENT"] === undefined ? 16 : 1;

/** A database whose transactions fail at a statement. */
function failingAt(database: Database, statement: number): Database {
  let count = 0;
  return {
    ...database,
    transaction: (work) =>
      database.transaction((sql) =>
        work({
          query: (text, values) => {
            if (++count === statement) throw new Error("died");
            return sql.query(text, values);
          },
        }),
      ),
  };
}

const kinds = [
  ["embedded", false],
  ["server", noPostgres],
] as const;

for (const [kind, skip] of kinds)
  describe(`data of the version before (${kind})`, { skip, timeout: patienceMs }, () => {
    test("goes on: builds in their old order, with what befell them, leases, results; the old queue is gone", async () => {
      await using old = await before(kind);
      await using controller = await open(old);
      const { database } = controller;
      const schemas = "select 1 from information_schema.schemata where schema_name = 'croft_queue'";
      assert.deepEqual(await database.query(schemas), []);
      const counts = { queued: 16, building: 1, finished: 1, cancelled: 1 };
      assert.deepEqual(await controller.builds.count(), counts);
      const setbacks = await database.query(
        "select id, aborts, faults, interrupts from croft.builds where aborts + faults + interrupts > 0 order by id",
      );
      assert.deepEqual(setbacks, [
        { id: 4, aborts: 0, faults: 0, interrupts: 1 },
        { id: 6, aborts: 0, faults: 1, interrupts: 0 },
        { id: 19, aborts: 1, faults: 0, interrupts: 0 },
      ]);
      if (kind === "embedded")
        assert.deepEqual(await database.query("show wal_sync_method"), [{ wal_sync_method: "fsync" }]);
      const [active] = await database.query<{ token: string }>(
        "select token from croft.sessions where state = 'active'",
      );
      const session = (await controller.sessions.find(active!.token))!;
      assert.equal(session.build, 3);
      // A submitter who is new does not wait for all that was there.
      const what = { name: "x", version: "0", repository: "https://x.org/x.git", priority: 0 };
      await controller.builds.submit({ ...what, targets: ["debian"] }, "new");
      await controller.builds.submit({ ...what, targets: ["debian"] }, "bob");
      assert.deepEqual(await takeAll(controller, "debian_13"), [
        ...debian.slice(0, 3),
        20,
        ...debian.slice(3),
        21,
      ]);
      assert.deepEqual(await takeAll(controller, "fedora_42"), fedora);
      assert.equal(
        await controller.results.store(session, { version: "1", status: "success", operations: [] }),
        "stored",
      );
      assert.equal((await controller.builds.find(3))?.status, "success");
    });

    test("is as before when the change of its tables breaks off anywhere", async () => {
      await using old = await before(kind);
      await using database = await old.openDatabase();
      const readOld = () =>
        database.query(
          `select b.id, b.state, j.state as job, s.claim from croft.builds b join croft_queue.job j on j.id = b.job
           left join croft.sessions s on s.id = b.session order by b.id`,
        );
      const wanted = await readOld();
      assert.equal(wanted.length, 19);
      let statement = 1;
      for (; ; statement += stride) {
        try {
          await migrate(failingAt(database, statement));
          break;
        } catch (error) {
          assert.equal((error as Error).message, "died");
        }
        assert.deepEqual(await readOld(), wanted, `after ${statement} statements`);
      }
      assert.ok(statement > 10);
      await migrate(database);
      await assert.rejects(readOld(), /does not exist/);
    });
  });
