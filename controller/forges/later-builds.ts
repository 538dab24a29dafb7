/**
 * Builds of an event that need others of it to succeed. They are rows of `croft.later_builds` until then, and in no queue. Whoever
 * sees a build end looks at those that wait for it; whoever queues one holds the event's row, so that it is queued once. A build that
 * has failed may be built again: what was skipped for it is queued if that succeeds.
 */
import type { Build } from "../builds/build.ts";
import type { Builds } from "../builds/builds.ts";
import type { Submission } from "../builds/specification.ts";
import type { Database, Sql } from "../database/database.ts";
import { isOnBadge, submitterOf, type EventRow } from "./forge-events.ts";
import type { PlannedBuild } from "./planned.ts";
import type { Repository } from "./repositories.ts";

/** A row. */
export interface LaterBuild {
  event: number;
  name: string;
  needs: string[];
  submissions: Submission[];
  kept: boolean;
  state: "waiting" | "queued" | "skipped";
  reason: string | null;
}

/** What is to become of one, and why if it is skipped. */
type Outlook = { state: "waiting" | "queued" } | { state: "skipped"; reason: string };

/** Of a build, what counts. */
type Ended = Pick<Build, "id" | "state" | "status"> & { name: string };

/** Notes builds for later, in the transaction that takes their event. */
export async function noteLater(sql: Sql, event: number, builds: readonly PlannedBuild[]): Promise<void> {
  for (const { name, needs, submissions, isKept } of builds)
    await sql.query(
      `insert into croft.later_builds (event, name, needs, submissions, kept, state)
       values ($1, $2, $3::text[], $4, $5, 'waiting')`,
      [event, name, needs, JSON.stringify(submissions), isKept],
    );
}

/** The builds that wait for others. */
export class LaterBuilds {
  readonly #database: Database;
  readonly #builds: Pick<Builds, "submitAll">;
  readonly #repositories: ReadonlyMap<string, Repository>;

  constructor(database: Database, builds: Pick<Builds, "submitAll">, repositories: readonly Repository[]) {
    this.#database = database;
    this.#builds = builds;
    this.#repositories = new Map(repositories.map((one) => [one.name, one]));
  }

  /** Those of an event. */
  async of(event: number): Promise<LaterBuild[]> {
    return await this.#database.query<LaterBuild>(
      "select * from croft.later_builds where event = $1 order by name",
      [event],
    );
  }

  /** Looks at what waits for builds that have changed. */
  async afterBuilds(builds: readonly number[]): Promise<void> {
    if (builds.length === 0) return;
    const rows = await this.#database.query<{ event: number }>(
      `select distinct b.event from croft.builds b join croft.later_builds l on l.event = b.event
       where b.id = any($1::integer[]) and l.state <> 'queued'`,
      [builds],
    );
    for (const { event } of rows) await this.advance(event);
  }

  /** Looks at all that waits, should a change have gone unheard. */
  async lookAtAll(): Promise<void> {
    const rows = await this.#database.query<{ event: number }>(
      "select distinct event from croft.later_builds where state = 'waiting'",
    );
    for (const { event } of rows) await this.advance(event);
  }

  /** Queues what has waited long enough. */
  async advance(event: number): Promise<void> {
    for (const { name, needs, state } of await this.of(event)) {
      if (state === "queued") continue;
      const ended = await endedOf(this.#database, event);
      const outlook = outlookOf(needs, ended, await this.of(event));
      if (outlook.state === "queued") await this.#queue(event, name);
      else if (outlook.state !== state) await setState(this.#database, event, name, outlook);
    }
  }

  async #queue(event: number, name: string): Promise<void> {
    const [row] = await this.#database.query<EventRow>("select * from croft.forge_events where id = $1", [
      event,
    ]);
    const later = (await this.of(event)).find((one) => one.name === name);
    const repository = row && this.#repositories.get(row.repository);
    if (!later || !row) return;
    if (!repository) {
      const reason = "the configuration does not have its repository built any more";
      return setState(this.#database, event, name, { state: "skipped", reason });
    }
    await this.#builds.submitAll(later.submissions, submitterOf(repository), {
      onBadge: isOnBadge(row.event),
      isTrusted: row.trusted,
      isKept: () => later.kept,
      note: async (sql) => {
        const [taken] = await sql.query(
          `update croft.later_builds set state = 'queued', reason = null
           where event = $1 and name = $2 and state <> 'queued' returning name`,
          [event, name],
        );
        return taken && event;
      },
    });
  }
}

/** The builds that count: of each name, target and version the latest. */
async function endedOf(sql: Sql, event: number): Promise<Ended[]> {
  return await sql.query<Ended>(
    `select distinct on (label, target) id, state, status, split_part(coalesce(label, ''), '/', 1) as name from
       (select *, specification->>'label' as label from croft.builds where event = $1) as labelled
     order by label, target, id desc`,
    [event],
  );
}

/** What becomes of a build that needs others. */
export function outlookOf(
  needs: readonly string[],
  builds: readonly Ended[],
  later: readonly Pick<LaterBuild, "name" | "state">[],
): Outlook {
  for (const need of needs) {
    const own = builds.filter(({ name }) => name === need);
    const bad = own.find(
      ({ state, status }) => state === "cancelled" || (state === "finished" && !isGood(status)),
    );
    if (bad)
      return { state: "skipped", reason: `'${need}' ended with ${bad.status ?? bad.state} (#${bad.id})` };
    if (later.some(({ name, state }) => name === need && state === "skipped"))
      return { state: "skipped", reason: `'${need}' was skipped` };
  }
  const isDone = (need: string) => {
    const own = builds.filter(({ name }) => name === need);
    return own.length > 0 && own.every(({ state }) => state === "finished");
  };
  return { state: needs.every(isDone) ? "queued" : "waiting" };
}

function isGood(status: string | null): boolean {
  return status === "success" || status === "warning" || status === "skip";
}

async function setState(sql: Sql, event: number, name: string, outlook: Outlook): Promise<void> {
  const reason = outlook.state === "skipped" ? outlook.reason : null;
  await sql.query(
    `update croft.later_builds set state = $3, reason = $4
     where event = $1 and name = $2 and state <> 'queued'`,
    [event, name, outlook.state, reason],
  );
}
