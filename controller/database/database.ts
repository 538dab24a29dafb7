/** What the controller asks of its database: one dialect (PostgreSQL), embedded or a server. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Db as QueueDatabase } from "pg-boss";

/** Runs statements, `$1`… standing for values. */
export interface Sql {
  query<Row = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

/** A database; disposing of it closes it. */
export interface Database extends Sql, AsyncDisposable {
  readonly kind: "embedded" | "server";
  /** Commits when `work` ends, rolls back when it throws. */
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  /** The same database as the queue library wants it. */
  readonly forQueue: QueueDatabase;
}

/**
 * Gives the queue library the connection of the transaction that a call is made in, if any. It would otherwise
 * look up its own tables beside the transaction, and wait for ever where the database has one connection only.
 */
export class CurrentTransaction {
  readonly #storage = new AsyncLocalStorage<Sql>();

  run<T>(sql: Sql, work: (sql: Sql) => Promise<T>): Promise<T> {
    return this.#storage.run(sql, work, sql);
  }

  forQueue(outside: QueueDatabase): QueueDatabase {
    return {
      ...outside,
      executeSql: async (text, values) => {
        const sql = this.#storage.getStore();
        return sql ? { rows: await sql.query(text, values ?? []) } : outside.executeSql(text, values);
      },
    };
  }
}
