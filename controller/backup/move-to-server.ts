/**
 * Moves a controller from its embedded database to a PostgreSQL server: all rows of all tables, and the live logs, which are
 * files beside an embedded database, and in that of a server. All of it is one transaction there, so that whoever is killed
 * has moved nothing; the embedded database stays as it was.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { maskCredentials } from "../../os/text/credentials.ts";
import type { Database, Sql } from "../database/database.ts";
import { openEmbedded } from "../database/embedded.ts";
import { migrate } from "../database/migrations.ts";
import { checkConnection } from "../database/pooler.ts";
import { openServer } from "../database/server.ts";
import { openDataDirectory, type DataDirectory } from "../files/data-directory.ts";
import { LiveLogs } from "../files/live-logs.ts";
import type { StoragePlace } from "../files/storage.ts";
import { moveBlobs } from "./move-blobs.ts";
import { columnsOf, tablesOf } from "./tables.ts";

/** From where to where. */
export interface Move {
  data: string;
  /** `postgres://…`. */
  database: string;
  storage: StoragePlace;
}

/** What was moved. */
export interface Moved {
  /** Rows by table, of those that have any. */
  rows: Readonly<Record<string, number>>;
  liveLogs: number;
  /** That were brought to another storage. */
  blobs: number;
}

/** They are of the database that they are in. */
const ownTables = ["schema_version", "controllers"];
const rowsAtOnce = 500;
const pieceBytes = 64 * 1024;

/**
 * Moves all there is.
 *
 * @throws {Failure} if a controller uses the data, or the server has some already; nothing has changed then.
 */
export async function moveToServer({ data, database: url, storage }: Move, log: Log): Promise<Moved> {
  if (!existsSync(join(data, "database")))
    throw new Failure(`move the database of '${data}'`, "there is no embedded database");
  await using directory = await openDataDirectory(data, true, log);
  await using source = await openEmbedded(directory.database);
  await migrate(source);
  await checkConnection(url);
  await using target = await openServer(url, () => {});
  await migrate(target);
  await refuseUsed(target, url);
  const blobs = storage === "directory" ? 0 : await moveBlobs(source, directory, storage);
  return { ...(await moveRows(source, target, directory, url)), blobs };
}

/** Moves what is in the database, and in files beside it that would be in that of a server. */
export async function moveRows(
  source: Database,
  target: Database,
  directory: DataDirectory,
  url: string,
): Promise<Omit<Moved, "blobs">> {
  return await target.transaction(async (to) => {
    // Whoever moves at the same time, and a controller that starts meanwhile, waits, and finds rows then.
    await to.query("lock table croft.schema_version in exclusive mode");
    await refuseUsed(to, url);
    const rows: Record<string, number> = {};
    const tables = await movedTables(to);
    await source.transaction(async (from) => {
      for (const table of tables) {
        const count = await moveTable(from, to, table);
        if (count > 0) rows[table] = count;
      }
    });
    const liveLogs = await moveLiveLogs(to, directory);
    return { rows, liveLogs };
  });
}

async function movedTables(sql: Sql): Promise<string[]> {
  return (await tablesOf(sql)).filter((table) => !ownTables.includes(table));
}

async function refuseUsed(sql: Sql, url: string): Promise<void> {
  const action = `move to the database '${maskCredentials(url)}'`;
  for (const table of await movedTables(sql)) {
    const [found] = await sql.query(`select from croft.${table} limit 1`);
    if (found)
      throw new Failure(action, `there are rows in croft.${table} already`, {
        hints: [
          "Move to a database that no controller has used, or remove what is there: drop schema croft cascade",
        ],
      });
  }
}

/** Values go as JSON, which both write and read alike, whatever the column's type. */
async function moveTable(from: Sql, to: Sql, table: string): Promise<number> {
  const { names, identity } = await columnsOf(to, table);
  const columns = names.join(", ");
  await from.query(`declare moved cursor for select to_json(t)::text as row from croft.${table} as t`);
  let count = 0;
  for (;;) {
    const rows = await from.query<{ row: string }>(`fetch ${rowsAtOnce} from moved`);
    if (rows.length === 0) break;
    count += rows.length;
    await to.query(
      `insert into croft.${table} (${columns}) overriding system value
       select ${columns} from json_populate_recordset(null::croft.${table}, $1::json)`,
      [`[${rows.map(({ row }) => row).join(",")}]`],
    );
  }
  await from.query("close moved");
  await compareCounts(from, to, table);
  if (identity !== undefined) await goOnCounting(from, to, table, identity);
  return count;
}

async function compareCounts(from: Sql, to: Sql, table: string): Promise<void> {
  const count = async (sql: Sql) =>
    (await sql.query<{ count: number }>(`select count(*)::integer as count from croft.${table}`))[0]!.count;
  const [before, after] = [await count(from), await count(to)];
  if (before !== after)
    throw new Failure("move the database", `croft.${table} has ${before} rows, of which ${after} arrived`);
}

/** The next number is the one that the embedded database would have given. */
async function goOnCounting(from: Sql, to: Sql, table: string, identity: string): Promise<void> {
  const sequence = `pg_get_serial_sequence('croft.${table}', '${identity}')`;
  const [{ name } = { name: "" }] = await from.query<{ name: string }>(`select ${sequence} as name`);
  const [last] = await from.query<{ value: string; called: boolean }>(
    `select last_value::text as value, is_called as called from ${name}`,
  );
  await to.query(`select setval(${sequence}, $1::bigint, $2)`, [last!.value, last!.called]);
}

/** As shared-live-logs.ts has them. */
async function moveLiveLogs(to: Sql, directory: DataDirectory): Promise<number> {
  const logs = new LiveLogs(directory, Infinity);
  const known = await to.query<{ id: number }>(
    "select id from croft.sessions where id = any($1::integer[]) order by id",
    [await logs.sessions()],
  );
  for (const { id } of known) {
    const bytes = await logs.size(id);
    await to.query("insert into croft.live_logs (session, bytes) values ($1, $2)", [id, bytes]);
    for (let start = 0; start < bytes;) {
      const content = await logs.read(id, start, pieceBytes);
      await to.query("insert into croft.live_log_chunks (session, start, content) values ($1, $2, $3)", [
        ...[id, start, content],
      ]);
      start += content.length;
    }
  }
  return known.length;
}
