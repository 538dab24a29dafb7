/**
 * Pauses: an agent, a target or everything that is given no builds until somebody has it go on. What is being built goes on.
 *
 * A pause of targets is written beside their queues, where a claim looks anyway; that of an agent is looked at when it asks,
 * in what this controller remembers of the table until it hears of a change.
 */
import { Failure } from "../../os/failure.ts";
import type { Changes } from "../builds/noting/changes.ts";
import { coversTarget } from "../builds/queue.ts";
import type { Database, Sql } from "../database/database.ts";

/** What may be paused; `all`: every target. */
export const pauseKinds = ["all", "agent", "target"] as const;
export type PauseKind = (typeof pauseKinds)[number];

/** What is paused. */
export interface Paused {
  kind: PauseKind;
  /** Empty for `all`. */
  name: string;
}

/** A row of the pauses table. */
export interface Pause extends Paused {
  reason: string | null;
  /** Name of a token; null: the administrator of the controller's host. */
  paused_by: string | null;
  created_at: Date;
}

/** While changes of other controllers are not heard of, what is remembered is looked at again after so long. */
const believedMs = 5000;

export class Pauses {
  readonly #database: Database;
  readonly #changes: Changes;
  readonly #now: () => number;
  #known: { pauses: Promise<readonly Pause[]>; atMs: number } | undefined;

  /** @param now a clock that is never set, in milliseconds */
  constructor(database: Database, changes: Changes, now: () => number = () => performance.now()) {
    this.#database = database;
    this.#changes = changes;
    this.#now = now;
    changes.subscribe(["pause"], () => (this.#known = undefined)); // as long as the controller
    changes.onGap(() => (this.#known = undefined));
  }

  /** All pauses, the oldest first. */
  async list(): Promise<readonly Pause[]> {
    const known = this.#known;
    if (known && (this.#changes.complete || this.#now() - known.atMs < believedMs)) return await known.pauses;
    const pauses = this.#database.query<Pause>("select * from croft.pauses order by created_at, kind, name");
    const reading = { pauses, atMs: this.#now() };
    this.#known = reading;
    pauses.catch(() => {
      if (this.#known === reading) this.#known = undefined;
    });
    return await pauses;
  }

  /** The pause of an agent, if there is one. */
  async ofAgent(agent: string): Promise<Pause | undefined> {
    return (await this.list()).find(({ kind, name }) => kind === "agent" && name === agent);
  }

  /** The pause of a target, its own or that of all. */
  async ofTarget(target: string): Promise<Pause | undefined> {
    const pauses = await this.list();
    const own = pauses.find(({ kind, name }) => kind === "target" && name === target);
    return own ?? pauses.find(({ kind }) => kind === "all");
  }

  /** Pauses something; what is paused already gets the new reason. */
  async pause({ kind, name }: Paused, reason: string | null, by: string | null): Promise<void> {
    await this.#database.transaction(async (sql) => {
      await sql.query(
        `insert into croft.pauses (kind, name, reason, paused_by) values ($1, $2, $3, $4)
         on conflict (kind, name) do update set reason = excluded.reason, paused_by = excluded.paused_by`,
        [kind, name, reason, by],
      );
      if (kind !== "agent") await this.#mark(sql);
    });
    this.#changes.announce("pause", 0);
  }

  /**
   * Ends a pause.
   *
   * @throws {Failure} if there is none.
   */
  async resume(paused: Paused): Promise<void> {
    const { kind, name } = paused;
    await this.#database.transaction(async (sql) => {
      const gone = await sql.query("delete from croft.pauses where kind = $1 and name = $2 returning name", [
        kind,
        name,
      ]);
      if (gone.length === 0) throw new Failure(`resume ${inWords(paused)}`, "it is not paused");
      if (kind !== "agent") await this.#mark(sql);
    });
    this.#changes.announce("pause", 0);
  }

  /** Queues that are being made wait: they look at the pauses themselves, and are to see this one. */
  async #mark(sql: Sql): Promise<void> {
    await sql.query("lock table croft.queues in exclusive mode");
    await sql.query(
      `update croft.queues set paused = not paused
       where paused <> exists (select from croft.pauses where ${coversTarget("queues.target")})`,
    );
  }
}

/** Such as `target 'debian'`. */
export function inWords({ kind, name }: Paused): string {
  return kind === "all" ? "all targets" : `${kind} '${name}'`;
}
