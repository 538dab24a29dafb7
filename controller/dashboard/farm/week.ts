/** How a week went, day by day. */
import type { Sql } from "../../database/database.ts";

/** A day of UTC. */
export interface Day {
  /** Such as `2026-01-31`. */
  day: string;
  good: number;
  warned: number;
  failed: number;
  /** In seconds, of those that began; the middle one. */
  waited: number | null;
}

/** So long one look does for all who look. */
const keptMs = 30_000;

/** The last seven days, the last of them today. */
async function readWeek(sql: Sql, withPrivate: boolean): Promise<Day[]> {
  return await sql.query<Day>(
    `select to_char(days.day, 'YYYY-MM-DD') as day, coalesce(good, 0) as good, coalesce(warned, 0) as warned,
       coalesce(failed, 0) as failed, waited
     from (select (now() at time zone 'UTC')::date - ago as day from generate_series(0, 6) as ago) as days
     left join (
       select (finished_at at time zone 'UTC')::date as day,
         count(*) filter (where status in ('success', 'skip'))::integer as good,
         count(*) filter (where status = 'warning')::integer as warned,
         count(*) filter (where status not in ('success', 'skip', 'warning'))::integer as failed,
         percentile_cont(0.5) within group (order by greatest(0, extract(epoch from started_at - queued_at)))
           filter (where started_at is not null)::double precision as waited
       from croft.builds where state = 'finished' and finished_at > now() - interval '7 days' and ($1 or not is_private)
       group by 1
     ) as ended on ended.day = days.day order by days.day`,
    [withPrivate],
  );
}

/** Looks at the week once for all who look at it. */
export class Weeks {
  readonly #sql: Sql;
  readonly #kept = new Map<boolean, { week: Promise<Day[]>; atMs: number }>();

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  async look(withPrivate: boolean): Promise<Day[]> {
    const kept = this.#kept.get(withPrivate);
    if (kept && performance.now() - kept.atMs < keptMs) return await kept.week;
    const week = readWeek(this.#sql, withPrivate);
    week.catch(() => this.#kept.delete(withPrivate));
    this.#kept.set(withPrivate, { week, atMs: performance.now() });
    return await week;
  }
}
