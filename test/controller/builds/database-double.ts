/**
 * A database that answers as a test wants: for what the controller decides beside it. What is in the statements is
 * tried on real ones (`*.real.ts`).
 */
import type { Database, Sql } from "../../../controller/database/database.ts";
import type { Build } from "../../../controller/builds/build.ts";
import type { Session } from "../../../controller/builds/session.ts";
import type { Specification } from "../../../controller/builds/specification.ts";

/** A statement, and whether it was one of a transaction. */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
  readonly isInTransaction: boolean;
}

export class DatabaseDouble implements Database {
  readonly statements: Statement[] = [];
  readonly #answers: readonly (readonly [beginning: string, rows: () => readonly unknown[]])[];

  /** @param answers rows by the beginning of a statement, its blanks taken for one; all others have none. */
  constructor(answers: Readonly<Record<string, () => readonly unknown[]>> = {}) {
    this.#answers = Object.entries(answers);
  }

  query<Row>(text: string, values?: readonly unknown[]): Promise<Row[]> {
    return this.#answer(text, values, false);
  }

  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    return work({ query: (text, values) => this.#answer(text, values, true) });
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #answer<Row>(
    text: string,
    values: readonly unknown[] = [],
    isInTransaction: boolean,
  ): Promise<Row[]> {
    const plain = text.replace(/\s+/g, " ");
    this.statements.push({ text: plain, values, isInTransaction });
    const rows = this.#answers.find(([beginning]) => plain.startsWith(beginning))?.[1]() ?? [];
    return [...rows] as Row[];
  }
}

export const specification: Specification = {
  ...{ name: "hello", version: "1.0", repository: "https://x.org/hello.git#v1" },
  ...{ target: "linux-gcc", triplet: "x86_64-linux-gnu", machine: "debian_*", toolchain: "gcc*" },
  ...{ warnings: [], priority: 3, timeoutSeconds: 600 },
};

const then = new Date("2026-01-02T03:04:05Z");

export function buildRow(more: Partial<Build> = {}): Build {
  return {
    ...{
      id: 7,
      name: "hello",
      version: "1.0",
      target: "linux-gcc",
      repository: "https://x.org/hello.git#v1",
    },
    ...{
      specification,
      queue: "q",
      priority: 3,
      queue_priority: 3,
      state: "building",
      status: null,
      session: 70,
    },
    ...{
      attempts: 1,
      aborts: 0,
      faults: 0,
      interrupts: 0,
      faulty_host: null,
      refused_by: [],
      submitted_by: null,
      rebuild_of: null,
      submission: null,
      croft_only: false,
      pinned: false,
      event: null,
      on_badge: true,
      is_trusted: false,
      is_private: false,
      tree: null,
    },
    ...{ created_at: then, queued_at: then, started_at: then, finished_at: null },
    ...more,
  };
}

export function sessionRow(more: Partial<Session> = {}): Session {
  return {
    ...{ id: 70, token: "t", build: 7, attempt: 1, agent: "host", toolchain: "gcc", machine: "debian_13" },
    ...{ fingerprint: null, challenge: null, state: "active", status: null, lease_seconds: 900 },
    ...{
      created_at: then,
      expires_at: then,
      signs_until: null,
      ended_at: null,
      result_digest: null,
      fault: null,
    },
    ...more,
  };
}
