/**
 * What is sent to receivers, and the log of it. A row of `croft.deliveries` is due at `due_at`; who finds it so holds it for a while
 * (`held_until`), tries, and notes how it went in `croft.delivery_attempts`. So it is sent by one controller at a time; a receiver may get
 * it twice, if its answer was lost or its sender killed, and tells so by the delivery's number.
 */
import { EventEmitter } from "node:events";
import { pauseAfter, type Patience } from "../../os/backoff.ts";
import type { Database } from "../database/database.ts";
import { ConflictFailure } from "../builds/builds.ts";

/** A row. */
export interface Delivery {
  id: number;
  notification: string;
  build: number;
  event: string;
  body: string;
  state: "open" | "delivered" | "failed";
  tries: number;
  created_at: Date;
  due_at: Date;
  ended_at: Date | null;
}

/** A row in a list: with how the last try went. */
export interface ListedDelivery extends Omit<Delivery, "body"> {
  answer: string | null;
  trouble: string | null;
}

/** How a try went. */
export interface Attempt {
  at: Date;
  seconds: number;
  answer: string | null;
  /** Null: it was taken. */
  trouble: string | null;
}

/** How a try ended, for what comes next. */
export interface Outcome extends Attempt {
  /** Trying again leads nowhere. */
  isFinal?: boolean;
  /** How long the receiver wants not to be asked. */
  afterSeconds?: number;
}

/** After a day it is given up. */
const usualPatience: Patience = {
  firstPauseSeconds: 10,
  longestPauseSeconds: 7200,
  mostTries: 20,
};

/** Longer than a try takes; if its holder died, another one goes on after that. */
const holdSeconds = 120;
const keptDays = 30;
/** Of one delivery, however often it is asked for again. */
const keptAttempts = 50;

/** What a list may be narrowed to. */
export interface DeliveryFilter {
  notification?: string;
  state?: string;
  build?: number;
  /** Only those with a lower number: the last one of the previous page. */
  before?: number;
  limit: number;
}

export class Deliveries {
  readonly #database: Database;
  readonly #patience: Patience;
  readonly #emitter = new EventEmitter<{ nudge: [] }>().setMaxListeners(0);

  constructor(database: Database, patience = usualPatience) {
    this.#database = database;
    this.#patience = patience;
  }

  /** Says that there may be something to send. */
  nudge(): void {
    this.#emitter.emit("nudge");
  }

  /** Calls back when there may be something to send; disposing of the result ends it. */
  onNudge(callback: () => void): Disposable {
    this.#emitter.on("nudge", callback);
    return { [Symbol.dispose]: () => this.#emitter.off("nudge", callback) };
  }

  /** Takes what is due for a receiver, the oldest first, a few at most; they are its caller's for a while. */
  async takeDue(notification: string, most: number): Promise<Delivery[]> {
    return await this.#database.query<Delivery>(
      `update croft.deliveries set held_until = now() + make_interval(secs => ${holdSeconds})
       where id in (select id from croft.deliveries
         where notification = $1 and state = 'open' and due_at <= now() and (held_until is null or held_until < now())
         order by due_at, id limit $2 for update skip locked)
       returning *`,
      [notification, most],
    );
  }

  /** Seconds until the next one of a receiver is due; undefined if none is. */
  async nextSeconds(notification: string): Promise<number | undefined> {
    const [row] = await this.#database.query<{ seconds: number | null }>(
      `select extract(epoch from min(greatest(due_at, held_until)) - now())::double precision as seconds
       from croft.deliveries where notification = $1 and state = 'open'`,
      [notification],
    );
    return row?.seconds ?? undefined;
  }

  /** Notes how a try went, and what comes next. @returns what it is now. */
  async settle({ id, tries: before }: Delivery, outcome: Outcome): Promise<Delivery["state"]> {
    const tries = before + 1;
    const isOver = outcome.isFinal === true || tries >= this.#patience.mostTries;
    const state = outcome.trouble === null ? "delivered" : isOver ? "failed" : "open";
    const pause = pauseAfter(tries, this.#patience, outcome.afterSeconds);
    await this.#database.transaction(async (sql) => {
      await sql.query(
        `update croft.deliveries set held_until = null, tries = $2, state = $3,
           due_at = clock_timestamp() + make_interval(secs => $4::double precision),
           ended_at = case when $3 = 'open' then null else now() end where id = $1`,
        [id, tries, state, pause],
      );
      const { at, seconds, answer, trouble } = outcome;
      await sql.query(
        `insert into croft.delivery_attempts (delivery, at, seconds, answer, trouble)
         select id, $2, $3, $4, $5 from croft.deliveries where id = $1`,
        [id, at.toISOString(), seconds, answer, trouble],
      );
      await sql.query(
        `delete from croft.delivery_attempts where delivery = $1 and at < (select min(at) from (select at
           from croft.delivery_attempts where delivery = $1 order by at desc limit ${keptAttempts}) as kept)`,
        [id],
      );
    });
    return state;
  }

  /** Lets go of what was taken and not tried. */
  async release(deliveries: readonly Delivery[]): Promise<void> {
    await this.#database.query(
      "update croft.deliveries set held_until = null where id = any($1::integer[]) and state = 'open'",
      [deliveries.map(({ id }) => id)],
    );
  }

  /** Newest first. */
  async list({ notification, state, build, before, limit }: DeliveryFilter): Promise<ListedDelivery[]> {
    return await this.#database.query<ListedDelivery>(
      `select d.id, d.notification, d.build, d.event, d.state, d.tries, d.created_at, d.due_at, d.ended_at,
         last.answer, last.trouble
       from croft.deliveries d left join lateral (select answer, trouble from croft.delivery_attempts
         where delivery = d.id order by at desc limit 1) as last on true
       where ($1::text is null or d.notification = $1) and ($2::text is null or d.state = $2)
         and ($3::integer is null or d.build = $3) and ($4::integer is null or d.id < $4)
       order by d.id desc limit $5`,
      [notification ?? null, state ?? null, build ?? null, before ?? null, limit],
    );
  }

  /** One with what was tried, first to last; undefined if there is none. */
  async find(id: number): Promise<{ delivery: Delivery; attempts: Attempt[] } | undefined> {
    const [delivery] = await this.#database.query<Delivery>("select * from croft.deliveries where id = $1", [
      id,
    ]);
    if (!delivery) return undefined;
    const attempts = await this.#database.query<Attempt>(
      "select at, seconds, answer, trouble from croft.delivery_attempts where delivery = $1 order by at",
      [id],
    );
    return { delivery, attempts };
  }

  /**
   * Has one sent again, the same as before.
   *
   * @throws {ConflictFailure} if it is going to be sent as it is.
   * @returns false if there is none.
   */
  async redeliver(id: number): Promise<boolean> {
    const [row] = await this.#database.query(
      `update croft.deliveries set state = 'open', tries = 0, due_at = now(), held_until = null, ended_at = null
       where id = $1 and (state <> 'open' or held_until is null) returning id`,
      [id],
    );
    if (row) {
      this.nudge();
      return true;
    }
    if (!(await this.find(id))) return false;
    throw new ConflictFailure(`send ${id} again`, "it is being sent");
  }

  /** Forgets what ended long ago, and what nobody receives any more. @param known names of receivers. */
  async prune(known: readonly string[]): Promise<void> {
    await this.#database.query(
      `delete from croft.deliveries where state <> 'open' and ended_at < now() - interval '${keptDays} days'`,
    );
    await this.#database.query(
      `update croft.deliveries set state = 'failed', ended_at = now()
       where state = 'open' and created_at < now() - interval '${keptDays} days' and notification <> all($1::text[])`,
      [known],
    );
  }
}
