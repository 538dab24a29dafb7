/** From builds that came into another state to what is to be sent: each once, in the transaction that forgets the change. */
import { matchesPattern } from "../builds/name-pattern.ts";
import type { Build } from "../builds/build.ts";
import type { NotedChange } from "../builds/noting/noted-changes.ts";
import type { Database, Sql } from "../database/database.ts";
import type { EventKind, Notification } from "./notifications.ts";
import { changeBy } from "./standings.ts";
import { bodyFor, type Cause, type Told } from "./told.ts";

/** Looked up at a time. */
const batch = 50;
/** Of one receiver; what comes beyond is written down, and not sent by itself. */
const mostOpen = 5000;

/** Changes that are not looked up yet. */
export class Outbox {
  readonly #database: Database;
  readonly #notifications: readonly Notification[];
  readonly #baseUrl: string;

  /** @param baseUrl where people reach this controller, without a slash at the end. */
  constructor(database: Database, notifications: readonly Notification[], baseUrl: string) {
    this.#database = database;
    this.#notifications = notifications;
    this.#baseUrl = baseUrl;
  }

  /** Looks some up. @returns whether there may be more, and whether something is to be sent. */
  async empty(): Promise<{ hasMore: boolean; hasMade: boolean }> {
    return await this.#database.transaction(async (sql) => {
      const changes = await sql.query<NotedChange>(
        `delete from croft.build_changes where id in
           (select id from croft.build_changes order by id limit ${batch} for update skip locked) returning *`,
      );
      changes.sort((one, other) => one.id - other.id);
      let made = 0;
      for (const change of changes) made += await this.#note(sql, change);
      return { hasMore: changes.length === batch, hasMade: made > 0 };
    });
  }

  /** @returns how much is to be sent for it. */
  async #note(sql: Sql, { build: id, state, at }: NotedChange): Promise<number> {
    const [build] = await sql.query<Build>("select * from croft.builds where id = $1", [id]);
    if (!build) return 0;
    const isOver = state === "finished" || state === "cancelled";
    const change = isOver ? await changeBy(sql, build) : undefined;
    const happened: EventKind[] = isOver ? ["ended", ...(change ? (["changed"] as const) : [])] : [state];
    const receivers = this.#notifications.filter((one) => isToldOf(one, build));
    const tellings = happened.flatMap((event) =>
      receivers.filter(({ events }) => events.includes(event)).map((receiver) => ({ event, receiver })),
    );
    if (tellings.length === 0) return 0;
    const cause = await causeOf(sql, build);
    for (const { event, receiver } of tellings) {
      const told: Told = { event, at, build, cause, ...(event === "changed" && change ? { change } : {}) };
      const body = bodyFor(receiver, told, this.#baseUrl);
      await sql.query(
        `insert into croft.deliveries (notification, build, event, body, state, ended_at)
           select $1, $2, $3, $4, case when waiting.count < ${mostOpen} then 'open' else 'failed' end,
             case when waiting.count < ${mostOpen} then null else now() end
           from (select count(*) from croft.deliveries where notification = $1 and state = 'open') as waiting`,
        [receiver.name, id, change && event === "changed" ? change : event, body],
      );
    }
    return tellings.length;
  }
}

function isToldOf({ name, packages, withPrivate }: Notification, build: Build): boolean {
  if (build.is_private && !withPrivate) return false;
  if (build.specification.notifications?.includes(name)) return true;
  return packages.some((pattern) => matchesPattern(pattern, build.name));
}

async function causeOf(sql: Sql, { event }: Build): Promise<Cause | undefined> {
  if (event === null) return undefined;
  const [row] = await sql.query<{ event: Cause }>("select event from croft.forge_events where id = $1", [
    event,
  ]);
  if (!row) return undefined;
  const { kind, reference, commit, author, subject } = row.event;
  return { kind, reference, commit, author, subject };
}
