/**
 * Which builds go, and how. Those that are pinned stay, and of each package and target the last that succeeded; also what
 * ended within the hour, as its agent may still ask whether its result has arrived.
 *
 * All is done in small steps, so that no request waits for long: a farm's worth of builds is never locked, sorted or held
 * in memory. Nothing is noted in between. Whoever is killed has removed some builds whole and others not at all.
 */
import type { Database } from "../database/database.ts";
import type { Reason, RetentionRules } from "./rules.ts";

/** A build that is to go. */
export interface DoomedBuild {
  id: number;
  queue: string;
  reason: Reason;
}

const atOnce = 200;

/** As in the indexes builds_ended and builds_by_end. */
const ended = "b.state in ('finished', 'cancelled')";
const succeeded = "('success', 'warning')";
const mayGo = `${ended} and not b.pinned and b.finished_at < now() - interval '1 hour'
  and not (b.status in ${succeeded} and not exists (
    select 1 from croft.builds n where n.name = b.name and n.target = b.target and n.id > b.id
      and n.state = 'finished' and n.status in ${succeeded}))`;

/** The builds that the rules remove, some at a time; what becomes of them meanwhile is the caller's business. */
export async function* doomedBuilds(
  database: Database,
  { days, builds }: RetentionRules,
): AsyncGenerator<readonly DoomedBuild[]> {
  if (days !== undefined) yield* tooOld(database, days);
  if (builds !== undefined) yield* tooMany(database, builds);
}

async function* tooOld(database: Database, days: number): AsyncGenerator<readonly DoomedBuild[]> {
  let from = { ended: "-infinity", id: 0 };
  for (;;) {
    // As text, since a Date has no microseconds, and would find the last one again.
    const found = await database.query<DoomedBuild & { ended: string }>(
      `select b.id, b.queue, 'age' as reason, b.finished_at::text as ended from croft.builds b
       where ${mayGo} and b.finished_at < now() - $1::integer * interval '1 day'
         and (b.finished_at, b.id) > ($2::timestamptz, $3::integer)
       order by b.finished_at, b.id limit ${atOnce}`,
      [days, from.ended, from.id],
    );
    if (found.length === 0) return;
    yield found;
    from = found.at(-1)!;
  }
}

/** Goes from one package and target to the next by the index, instead of counting all builds. */
async function* tooMany(database: Database, most: number): AsyncGenerator<readonly DoomedBuild[]> {
  let at = { name: "", target: "" };
  for (;;) {
    const [next] = await database.query<{ name: string; target: string; last: number | null }>(
      `select g.name, g.target, (
         select b.id from croft.builds b where b.name = g.name and b.target = g.target and ${ended}
         order by b.id desc offset $3::integer limit 1) as last
       from (select b.name, b.target from croft.builds b where ${ended} and (b.name, b.target) > ($1, $2)
         order by b.name, b.target limit 1) as g`,
      [at.name, at.target, most],
    );
    if (!next) return;
    at = next;
    for (let from = 0, { last } = next; last !== null;) {
      const found: DoomedBuild[] = await database.query<DoomedBuild>(
        `select b.id, b.queue, 'count' as reason from croft.builds b
         where b.name = $1 and b.target = $2 and b.id <= $3 and b.id > $4 and ${mayGo}
         order by b.id limit ${atOnce}`,
        [next.name, next.target, last, from],
      );
      if (found.length === 0) break;
      yield found;
      from = found.at(-1)!.id;
    }
  }
}

/**
 * Removes builds with their attempts, and what is known of these; those that were pinned meanwhile stay.
 *
 * @returns the ids of the builds that are gone, and of the sessions that they had.
 */
export async function removeBuilds(
  database: Database,
  doomed: readonly DoomedBuild[],
): Promise<{ builds: number[]; sessions: number[] }> {
  const gone = { builds: [] as number[], sessions: [] as number[] };
  // Queue by queue: nobody waits for the row of one queue and holds that of another.
  for (const [queue, builds] of Map.groupBy(doomed, (one) => one.queue)) {
    const { removed, sessions } = await database.transaction(async (sql) => {
      const held = await sql.query<{ id: number; state: "finished" | "cancelled" }>(
        `select b.id, b.state from croft.builds b where b.id = any($1::integer[]) and ${ended} and not b.pinned
         order by b.id for update skip locked`,
        [builds.map(({ id }) => id)],
      );
      const ids = held.map(({ id }) => id);
      const had = await sql.query<{ id: number }>(
        "select id from croft.sessions where build = any($1::integer[])",
        [ids],
      );
      await sql.query("delete from croft.builds where id = any($1::integer[])", [ids]);
      const finished = held.filter(({ state }) => state === "finished").length;
      await sql.query(
        "update croft.queues set finished = finished - $2, cancelled = cancelled - $3 where name = $1",
        [queue, finished, held.length - finished],
      );
      return { removed: ids, sessions: had.map(({ id }) => id) };
    });
    gone.builds.push(...removed);
    gone.sessions.push(...sessions);
  }
  return gone;
}
