/** What controllers and their database owe each other, embedded and with a server. */
import assert from "node:assert/strict";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { readControllerConfiguration } from "../../../controller/configuration.ts";
import { openController, type OpenController } from "../../../controller/controller.ts";
import { openEmbedded } from "../../../controller/database/embedded.ts";
import { openServer } from "../../../controller/database/server.ts";
import { Failure } from "../../../os/failure.ts";
import { silentLog } from "../../../os/log.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { layDatabase } from "../../fixtures/databases.ts";
import { makeFarm, readBuild, requestTask, sendResult, submit } from "../farm.ts";
import { noPostgres, startPostgres } from "./postgres.ts";

const offer = { agent: "host", toolchain: "default", interactive: "false", machines: ["debian"] } as const;
const package_ = { name: "x", version: "0", repository: "https://x.org/x.git", targets: ["*"], priority: 0 };

async function open(data: string): Promise<OpenController> {
  return await openController(readControllerConfiguration({ data }), silentLog());
}

async function take(controller: OpenController): Promise<number> {
  await controller.builds.submit(package_, null);
  return (await controller.sessions.assign(offer))!.build.id;
}

describe("an embedded database", () => {
  test("gives agents time for their results after the controller was away", async () => {
    await using directory = await temporaryDirectory("croft-test-controller-");
    const data = join(directory.path, "data");
    await using first = await open(data);
    const build = await take(first);
    await first.database.query("update croft.sessions set expires_at = now() + interval '0.2 seconds'");
    await first[Symbol.asyncDispose]();
    await new Promise((resolve) => setTimeout(resolve, 300)); // the lease ends while nobody is there
    await using second = await open(data);
    await second.leases.look();
    assert.equal((await second.builds.find(build))?.state, "building");
  });

  test("that is damaged says so, and what to do", async () => {
    await using directory = await temporaryDirectory("croft-test-controller-");
    const path = join(directory.path, "data", "database");
    await layDatabase(join(directory.path, "data"));
    await using made = await open(join(directory.path, "data"));
    await made[Symbol.asyncDispose]();
    const damaged = (error: unknown) =>
      error instanceof Failure &&
      /Cannot open the database in '.*': its files are damaged \(/.test(error.message) &&
      error.hints.some((hint) => hint.includes("backup"));
    const control = await readFile(join(path, "global", "pg_control"));
    await writeFile(join(path, "global", "pg_control"), Buffer.alloc(control.length, 7));
    await assert.rejects(openEmbedded(path), damaged);
    await writeFile(join(path, "global", "pg_control"), control);
    const version = join(path, "PG_VERSION");
    await writeFile(version, "99\n");
    await assert.rejects(openEmbedded(path), (error: unknown) => {
      assert.match(String(error), /its files are those of PostgreSQL 99, and this version of croft has \d+$/);
      return !damaged(error);
    });
    await rename(version, join(path, "gone"));
    await assert.rejects(openEmbedded(path), damaged);
  });

  test("of a later version is used only if that says that it may be", async () => {
    await using directory = await temporaryDirectory("croft-test-controller-");
    const data = join(directory.path, "data");
    await layDatabase(data);
    await using first = await open(data);
    await first.database.query("update croft.schema_version set version = 1000, oldest = 0");
    await first[Symbol.asyncDispose]();
    await using second = await open(data);
    await second.database.query("update croft.schema_version set oldest = 1000");
    await second[Symbol.asyncDispose]();
    await assert.rejects(open(data), /^Failure: Cannot use the database: a later version of croft made/);
  });
});

describe("controllers on a database server", { skip: noPostgres }, () => {
  test("start at once, share the builds, each of which is built once, and survive broken connections", async () => {
    await using server = await startPostgres();
    await using farm = await makeFarm(`database: ${server.url}\n`);
    const controllers = await Promise.all([farm.start(), farm.start()]);
    const urls = controllers.map(({ url }) => url);
    const builds = 24;
    for (let count = 0; count < builds; count++) await submit(urls[count % 2]!, { name: `x${count}` });
    const done: string[] = [];
    const agent = async (number: number) => {
      const url = urls[number % 2]!;
      for (;;) {
        const task = await requestTask(url, { agent: `host-${number}` });
        if (task.session === "") return;
        const other = { ...task, resultUrl: task.resultUrl!.replace(url, urls[(number + 1) % 2]!) };
        assert.equal((await sendResult(other, "success", [["update", "success", "x\n"]])).status, 204);
        done.push(task.task!.name);
      }
    };
    await Promise.all([0, 1, 2, 3, 4, 5].map(agent));
    assert.equal(done.length, builds);
    assert.equal(new Set(done).size, builds);

    const id = await submit(urls[0]!);
    const task = await requestTask(urls[1]!);
    assert.equal((await sendResult(task, "interrupt")).status, 204);
    assert.equal((await readBuild(urls[0]!, id)).state, "queued");
    await using database = await openServer(server.url, () => {});
    await database.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and usename = 'croft'",
    );
    for (const url of urls) assert.equal((await fetch(`${url}/readyz`)).status, 200);
    assert.equal((await sendResult(await requestTask(urls[0]!), "success")).status, 204);
  });

  test("queries over connections that were ended meanwhile are made over others", async () => {
    await using server = await startPostgres();
    await using database = await openServer(server.url, () => {});
    await using other = await openServer(server.url, () => {});
    for (let round = 0; round < 20; round++) {
      await Promise.all([1, 2, 3].map(() => database.query("select pg_sleep(0.01)")));
      await other.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and usename = 'croft'",
      );
      const answers = await Promise.all([
        database.query("select 1 as one"),
        database.transaction((sql) => sql.query("select 1 as one")),
      ]);
      assert.deepEqual(answers, [[{ one: 1 }], [{ one: 1 }]]);
    }
  });

  test("a transaction whose connection breaks, or that another one is in the way of, ends well", async () => {
    await using server = await startPostgres();
    const errors: Error[] = [];
    await using database = await openServer(server.url, (error) => errors.push(error));
    await assert.rejects(
      database.transaction(async (sql) => {
        await sql.query("select pg_terminate_backend(pg_backend_pid())").catch(() => {});
        await new Promise((resolve) => setImmediate(resolve));
        await sql.query("select 1");
      }),
    );
    await database.query("create table t (id integer primary key, n integer)");
    await database.query("insert into t values (1, 0), (2, 0)");
    const add = (first: number, second: number) =>
      database.transaction(async (sql) => {
        await sql.query("update t set n = n + 1 where id = $1", [first]);
        await sql.query("select pg_sleep(0.1)");
        await sql.query("update t set n = n + 1 where id = $1", [second]);
      });
    await Promise.all([add(1, 2), add(2, 1)]); // a deadlock, of which the server ends one
    assert.deepEqual(await database.query("select n from t"), [{ n: 2 }, { n: 2 }]);
  });
});
