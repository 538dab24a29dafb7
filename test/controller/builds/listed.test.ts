import assert from "node:assert/strict";
import { test } from "node:test";
import { listBuilds } from "../../../controller/builds/listed.ts";
import { DatabaseDouble } from "./database-double.ts";

test("a list is narrowed by what is given, each value where it belongs", async () => {
  const database = new DatabaseDouble();
  await listBuilds(database, { limit: 5 });
  await listBuilds(database, { state: "", status: "error", name: "hello", before: 9, limit: 2 });
  const [all, some] = database.statements.map(({ text, values }) =>
    text
      .replace(/\s+/g, " ")
      .replace(/\$(\d+)/g, (_, place: string) => JSON.stringify(values[Number(place) - 1])),
  );
  const ids = "(id) > (0) and (id) < (2147483647::integer)";
  assert.equal(all, `select * from croft.builds where ${ids} order by id desc limit 5::integer`);
  assert.equal(
    some,
    `select * from croft.builds where (name, id) > ("hello"::text, 0) and (name, id) < ("hello"::text, 9::integer) ` +
      `and status = "error" order by name desc, id desc limit 2::integer`,
  );
});
