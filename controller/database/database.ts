/** What the controller asks of its database: one dialect (PostgreSQL), embedded or a server. */

/** Runs statements, `$1`… standing for values. */
export interface Sql {
  query<Row = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

/** A database; disposing of it closes it. */
export interface Database extends Sql, AsyncDisposable {
  /** Commits when `work` ends, rolls back when it throws. */
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
}
