/** pgbouncer between controllers and their database: what works through it, and that the rest is refused with the reason. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openServer } from "../../../controller/database/server.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { noPgbouncer, startPgbouncer } from "../../fixtures/services/pgbouncer.ts";
import { endNext } from "../built.ts";
import { openOn } from "../in-process.ts";
import { until } from "../until.ts";
import { noPostgres, startPostgres, type PostgresServer } from "./postgres.ts";

describe("a database behind pgbouncer", { skip: noPostgres || noPgbouncer, timeout: patienceMs }, () => {
  const stack = new AsyncDisposableStack();
  let server: PostgresServer;
  let path: string;
  before(async () => {
    ({ path } = stack.use(await temporaryDirectory("croft-test-pooler-")));
    server = stack.use(await startPostgres());
  });
  after(() => stack.disposeAsync());

  for (const mode of ["transaction", "statement"] as const)
    test(`that lends connections for a ${mode} is refused, with what to do; nothing was made in it`, async () => {
      await using pooler = await startPgbouncer(server.url, mode);
      await assert.rejects(openOn(path, pooler.url), (error: Error & { hints?: string[] }) => {
        assert.match(
          error.message,
          /^Cannot use the database 'postgres:.*': there is a connection pooler in front of it that lends connections for single transactions$/,
        );
        assert.match(error.hints!.join(), /the address of the PostgreSQL server itself/);
        return true;
      });
      await using direct = await openServer(server.url, () => {});
      const made = "select 1 from information_schema.schemata where schema_name = 'croft'";
      assert.deepEqual(await direct.query(made), []);
    });

  test("that lends them for a session serves controllers, which hear of each other", async () => {
    await using pooler = await startPgbouncer(server.url, "session");
    await using one = await openOn(path, pooler.url);
    await using other = await openOn(path, pooler.url);
    await until(async () => one.changes.complete && other.changes.complete, "both to listen");
    const what = { name: "x", version: "0", repository: "https://x.org/x.git", targets: ["*"], priority: 0 };
    const heard = Promise.withResolvers<void>();
    using _listening = other.changes.subscribe(["state"], () => heard.resolve());
    await one.builds.submit(what, null);
    await heard.promise;
    await endNext(other, "success");
  });
});
