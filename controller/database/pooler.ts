/**
 * Finds out whether a connection to the database server is one connection. Behind a pooler that lends connections for a
 * transaction (pgbouncer's `pool_mode = transaction`) notifications get lost, and a lock that is held by a session is held
 * by whoever comes next.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { Failure } from "../../os/failure.ts";
import { maskCredentials } from "../../os/text/credentials.ts";

const patienceMs = 5000;

/**
 * Looks whether the server that answers is the process that the connection was made with, and if not, whether a
 * notification arrives all the same, as it does in pgbouncer's session mode.
 *
 * @throws {Failure} if it does not.
 */
export async function checkConnection(url: string): Promise<void> {
  await using listener = await connect(url);
  const { rows } = await listener.client.query("select pg_backend_pid() as pid");
  const [row] = rows as { pid: number }[];
  if (row!.pid === listener.client.processID) return;
  await using teller = await connect(url);
  const channel = `croft_probe_${randomUUID().replaceAll("-", "")}`;
  const heard = new Promise<true>((resolve) => listener.client.on("notification", () => resolve(true)));
  await listener.client.query(`listen ${channel}`);
  await teller.client.query("select pg_notify($1, '')", [channel]);
  if (await Promise.race([heard, sleep(patienceMs)])) return;
  throw new Failure(
    `use the database '${maskCredentials(url)}'`,
    "there is a connection pooler in front of it that lends connections for single transactions",
    {
      hints: [
        "Give 'database' the address of the PostgreSQL server itself, or set pgbouncer's pool_mode to session.",
        "Controllers tell each other of builds by notifications, which get lost on the way through such a pooler.",
      ],
    },
  );
}

async function connect(url: string) {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  client.on("error", () => {}); // the statement that is being answered fails, too
  await client.connect();
  return { client, [Symbol.asyncDispose]: () => client.end().catch(() => {}) };
}
