/** A PostgreSQL server, shared by any number of controllers. */
import { Pool, type PoolClient, type Result } from "pg";
import { Failure, isSystemError, reasonOf } from "../../host/failure.ts";
import { CurrentTransaction, type Database, type Sql } from "./database.ts";

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
    throw new Failure(`open the database '${withoutPassword(url)}'`, reasonOf(error), { cause: error });
  }
  const sqlOf = (connection: Pool | PoolClient): Sql => ({
    query: async <Row>(text: string, values: readonly unknown[] = []) =>
      (await connection.query(text, [...values])).rows as Row[],
  });
  const current = new CurrentTransaction();
  let open = true;
  return {
    kind: "server",
    ...sqlOf(pool),
    transaction: (work) =>
      retried(() => inTransaction(pool, onError, (connection) => current.run(sqlOf(connection), work))),
    forQueue: current.forQueue({
      executeSql: (text, values) => (values ? pool.query(text, values) : script(pool, text)),
    }),
    [Symbol.asyncDispose]: async () => {
      if (!open) return;
      open = false;
      await pool.end();
    },
  };
}

/** Deadlock and serialization failure: the server ended this transaction for the sake of another one. */
const passingErrors = ["40P01", "40001"];
const mostTries = 5;

/** A claim locks a job and then its build, a result the build and then its job: one of the two may have to wait. */
async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (tries === mostTries || !isSystemError(error, ...passingErrors)) throw error;
    }
  }
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
    await connection.query("begin");
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

/** Runs statements without values, maybe a transaction of their own, which a failure would leave open. */
async function script(pool: Pool, text: string): Promise<Result> {
  const connection = await pool.connect();
  let failure: Error | undefined;
  try {
    return await connection.query(text);
  } catch (error) {
    failure = error as Error;
    throw error;
  } finally {
    connection.release(failure);
  }
}

function withoutPassword(url: string): string {
  return url.replace(/(\/\/[^:/@]*):[^@]*@/, "$1@");
}
