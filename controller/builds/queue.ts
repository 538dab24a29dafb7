/**
 * The queue of builds: pg-boss, one queue for each combination of target, machine pattern and mode, because a
 * claim cannot filter by machine. Calls made inside `database.transaction` belong to that transaction.
 */
import { createHash, randomUUID } from "node:crypto";
import { PgBoss } from "pg-boss";
import type { Log } from "../../os/log.ts";
import type { Database } from "../database/database.ts";

/** What all builds of one queue have in common. */
export interface QueueKey {
  target: string;
  /** Patterns of the names of the machine and the toolchain. */
  machine: string;
  toolchain: string;
  interactive: boolean;
}

/** A job taken from a queue. */
export interface Claim {
  job: string;
  /** Counts the claims of the job; with the job's id it names this one. */
  claim: number;
}

/** Leases are kept in the sessions table, which log chunks extend; the queue's own expiry is only a backstop. */
const queueSettings = {
  expireInSeconds: 24 * 3600 - 1,
  retentionSeconds: 10 * 365 * 24 * 3600,
  deleteAfterSeconds: 24 * 3600,
  retryLimit: 1_000_000,
  retryDelay: 0,
} as const;

/** Made by the migrations; the library makes the tables in it. */
const queueSchema = "croft_queue";

/** The queues of a controller. */
export class BuildQueue implements AsyncDisposable {
  readonly #database: Database;
  readonly #boss: PgBoss;
  readonly #known = new Set<string>();

  private constructor(database: Database, boss: PgBoss) {
    this.#database = database;
    this.#boss = boss;
  }

  static async open(database: Database, log: Log): Promise<BuildQueue> {
    const boss = new PgBoss({
      db: database.forQueue,
      backend: database.kind === "embedded" ? "pglite" : "postgres",
      schema: queueSchema,
      createSchema: false, // its own creation fails where two controllers start at once
      schedule: false,
      reindex: false,
      monitorVacuum: false,
      superviseIntervalSeconds: 60,
    });
    boss.on("error", (error) => log.error({ err: error }, "the queue reports an error"));
    boss.on("warning", (warning) => log.warn({ warning }, "the queue warns"));
    await boss.start();
    return new BuildQueue(database, boss);
  }

  /** Makes sure that a queue exists. */
  async ensure(key: QueueKey): Promise<string> {
    const name = nameOf(key);
    if (this.#known.has(name)) return name;
    await this.#boss.createQueue(name, queueSettings);
    await this.#database.query(
      `insert into croft.queues (name, target, machine, toolchain, interactive) values ($1, $2, $3, $4, $5)
       on conflict do nothing`,
      [name, key.target, key.machine, key.toolchain, key.interactive],
    );
    this.#known.add(name);
    return name;
  }

  async add(queue: string, priority: number): Promise<string> {
    const job = randomUUID();
    await this.#boss.send(queue, {}, { id: job, priority });
    return job;
  }

  /** Takes the first job of a queue. */
  async claim(queue: string): Promise<Claim | undefined> {
    const [job] = await this.#boss.fetch(queue, { batchSize: 1, includeMetadata: true });
    return job && { job: job.id, claim: job.retryCount };
  }

  /** Puts a claimed job back; it keeps its place among jobs of its priority. */
  async putBack(queue: string, { job, claim }: Claim, priority: number): Promise<void> {
    await this.#boss.fail(queue, { id: job, retryCount: claim }, null);
    await this.#boss.update(queue, undefined, { id: job, priority });
  }

  /** Ends a job, claimed or still queued. */
  async finish(queue: string, job: string): Promise<void> {
    await this.#boss.complete(queue, job, null, { includeQueued: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#boss.stop({ graceful: false, close: false });
  }
}

/** Queue names are limited in length and letters, so patterns go in as a hash. */
function nameOf(key: QueueKey): string {
  const rest = JSON.stringify([key.target, key.machine, key.toolchain, key.interactive]);
  const hash = createHash("sha256").update(rest).digest("hex").slice(0, 16);
  return `${key.target.replace(/[^A-Za-z0-9_.-]/g, "_")}-${hash}`;
}
