/** Live logs that go: of builds that are gone, and of results that have been there for long, whose logs say the same. */
import type { Database } from "../database/database.ts";
import type { KeptLiveLogs } from "../files/live-log-chunk.ts";

const atOnce = 500;

/** Sessions whose live logs go, some at a time. */
export async function* oldLiveLogs(
  database: Database,
  liveLogs: KeptLiveLogs,
  days: number | undefined,
): AsyncGenerator<readonly number[]> {
  const sessions = await liveLogs.sessions();
  for (let from = 0; from < sessions.length; from += atOnce) {
    // Who appends to a log has looked up its session before: one without a row had none, or has lost it for good.
    const found = await database.query<{ id: number }>(
      `select l.id from unnest($1::integer[]) as l(id)
         left join croft.sessions s on s.id = l.id left join croft.builds b on b.id = s.build
       where s.id is null or (b.state in ('finished', 'cancelled') and s.state = 'finished'
         and s.ended_at < now() - $2::integer * interval '1 day'
         and exists (select 1 from croft.operations o where o.session = s.id))`,
      [sessions.slice(from, from + atOnce), days ?? null],
    );
    yield found.map(({ id }) => id);
  }
}
