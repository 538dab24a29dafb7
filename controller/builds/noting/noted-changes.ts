/**
 * Builds that came into another state, written down in the transaction that brings them there: whoever is to be told of them is told,
 * whatever ends in between. Only states that somebody is told of are.
 */
import type { Sql } from "../../database/database.ts";
import type { BuildState } from "../build.ts";

/** A row of `croft.build_changes`. */
export interface NotedChange {
  id: number;
  build: number;
  state: BuildState;
  at: Date;
}

/** Writes down what comes into one of some states. */
export class NotedChanges {
  readonly #states: ReadonlySet<BuildState>;

  constructor(states: ReadonlySet<BuildState>) {
    this.#states = states;
  }

  async note(sql: Sql, build: number, state: BuildState): Promise<void> {
    if (!this.#states.has(state)) return;
    await sql.query("insert into croft.build_changes (build, state) values ($1, $2)", [build, state]);
  }
}
