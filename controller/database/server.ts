/** A PostgreSQL server, shared by any number of controllers. */
import { Pool, type PoolClient } from "pg";
import { Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import { maskCredentials } from "../../os/text/credentials.ts";
import type { Database, Sql } from "./database.ts";

/**
 * Connects to a `postgres://` URL.
 *
 * @throws {Failure} if the server does not answer or refuses.
 */
export async function openServer(url: string, onError: (error: Error) => void): Promise<Database> {
  const pool = new Pool({ connectionString: url, max: 10, connectionTimeoutMillis: 10_000 });
  pool.on("error", onError); // an idle connection that breaks is replaced
  try {
    await pool.query("select 1");
  } catch (error) {
    await pool.end();
    throw new Failure(`open the database '${maskCredentials(url)}'`, reasonOf(error), { cause: error });
  }
  const sqlOf = (connection: Pool | PoolClient): Sql => ({
    query: async <Row>(text: string, values: readonly unknown[] = []) =>
      (await connection.query(text, [...values])).rows as Row[],
  });
  const direct = sqlOf(pool);
  let open = true;
  return {
    query: (text, values) => retried(() => direct.query(text, values), isReading(text)),
    transaction: (work) =>
      retried(() => inTransaction(pool, onError, (connection) => work(sqlOf(connection)))),
    [Symbol.asyncDispose]: async () => {
      if (!open) return;
      open = false;
      await pool.end();
    },
  };
}

/**
 * After these, nothing was done: the server ended this transaction for the sake of another one (deadlock, serialization
 * failure), or the connection for an administrator, which is noticed when it is used next.
 */
const passingErrors = ["40P01", "40001", "57P01"];
const mostTries = 5;

/**
 * Tries again what has done nothing yet.
 *
 * @param harmless it may also be done again when nobody knows whether it was done, as the connection broke.
 */
async function retried<T>(work: () => Promise<T>, harmless = false): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      const isBroken = error instanceof NotBegun || (harmless && isBrokenConnection(error));
      if (tries === mostTries || !(isBroken || isSystemError(error, ...passingErrors)))
        throw error instanceof NotBegun ? error.cause : error;
    }
  }
}

/** The connection broke before the transaction had begun. */
class NotBegun extends Error {}

function isBrokenConnection(error: unknown): boolean {
  return (
    isSystemError(error, "ECONNRESET", "EPIPE") ||
    (error instanceof Error && error.message === "Connection terminated unexpectedly") // pg has no code for it
  );
}

function isReading(text: string): boolean {
  return /^\s*select\b(?!.*\bfor\s+(?:no\s+key\s+)?update\b)/is.test(text);
}

async function inTransaction<T>(
  pool: Pool,
  onError: (error: Error) => void,
  work: (connection: PoolClient) => Promise<T>,
): Promise<T> {
  const connection = await pool.connect();
  let broken: Error | undefined;
  // The pool listens to idle connections only, and an error nobody listens to ends the process.
  const listener = (error: Error) => {
    broken = error;
    onError(error);
  };
  connection.on("error", listener);
  try {
    await connection.query("begin").catch((error: unknown) => {
      if (!isBrokenConnection(error)) throw error;
      throw new NotBegun("the connection is broken", { cause: error });
    });
    try {
      const result = await work(connection);
      await connection.query("commit");
      return result;
    } catch (error) {
      await connection.query("rollback").catch((failure: Error) => (broken = failure));
      throw error;
    }
  } finally {
    connection.off("error", listener);
    connection.release(broken);
  }
}
