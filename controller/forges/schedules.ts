/**
 * What is built by itself, at times that the `.croft.yaml` of a repository's usual branch says. A row of `croft.schedules` is due at
 * `next_at`; whoever finds it so holds the row while it writes the event and the next time, in one transaction: so each time comes
 * once, of several controllers, too. Times that passed while none was running come once, together.
 */
import type { Database, Sql } from "../database/database.ts";
import { nextTime } from "../source-file/clock.ts";
import type { Schedule } from "../source-file/schema.ts";
import type { ForgeEvent } from "./event.ts";
import { isTrusted, type EventRow } from "./forge-events.ts";
import type { Repository } from "./repositories.ts";

interface ScheduleRow {
  repository: string;
  cron: string;
  zone: string;
  builds: string[];
  event: ForgeEvent;
  next_at: Date;
}

/** Has the schedules of a repository be those of its file, unless a later event has told of them. */
export async function setSchedules(
  sql: Sql,
  { id, repository, event }: Pick<EventRow, "id" | "repository" | "event">,
  schedules: readonly Schedule[],
  now: Date,
): Promise<void> {
  const isUsual =
    event.kind === "schedule" || (event.kind === "push" && event.reference === event.defaultBranch);
  if (!isUsual) return;
  const [later] = await sql.query(
    `select 1 from croft.forge_events where repository = $1 and kind in ('push', 'schedule') and reference = $2
       and id > $3 and state = 'built' limit 1`,
    [repository, event.reference, id],
  );
  if (later) return;
  const wanted = schedules.map(({ cron, zone = "UTC", builds = [] }) => ({ cron, zone, builds }));
  const kept = wanted.map((one) => JSON.stringify([one.cron, one.zone, one.builds]));
  const old = await sql.query<ScheduleRow>("select * from croft.schedules where repository = $1", [
    repository,
  ]);
  for (const { cron, zone, builds } of old)
    if (!kept.includes(JSON.stringify([cron, zone, builds])))
      await sql.query(
        "delete from croft.schedules where repository = $1 and cron = $2 and zone = $3 and builds = $4::text[]",
        [repository, cron, zone, builds],
      );
  for (const { cron, zone, builds } of wanted)
    await sql.query(
      `insert into croft.schedules (repository, cron, zone, builds, event, next_at)
       values ($1, $2, $3, $4::text[], $5, $6) on conflict do nothing`,
      [
        ...[repository, cron, zone, builds],
        JSON.stringify(scheduledEvent(event, cron, builds)),
        nextTime({ cron, zone }, now).toISOString(),
      ],
    );
}

function scheduledEvent(event: ForgeEvent, cron: string, builds: readonly string[]): ForgeEvent {
  return {
    kind: "schedule",
    reference: event.reference,
    commit: "",
    repository: event.repository,
    defaultBranch: event.defaultBranch,
    author: "",
    subject: `schedule ${cron}`,
    ...(builds.length === 0 ? {} : { only: builds }),
  };
}

/** Has built what is due. @returns whether something was. */
export async function runDue(
  database: Database,
  repositories: readonly Repository[],
  now = new Date(),
): Promise<boolean> {
  return await database.transaction(async (sql) => {
    const rows = await sql.query<ScheduleRow>(
      `select * from croft.schedules where next_at <= $1 order by next_at limit 20 for update skip locked`,
      [now.toISOString()],
    );
    for (const row of rows) await runOne(sql, row, repositories, now);
    return rows.length > 0;
  });
}

async function runOne(
  sql: Sql,
  { repository: name, cron, zone, builds, event, next_at }: ScheduleRow,
  repositories: readonly Repository[],
  now: Date,
): Promise<void> {
  const key = [name, cron, zone, builds];
  const where = "where repository = $1 and cron = $2 and zone = $3 and builds = $4::text[]";
  const repository = repositories.find((one) => one.name === name);
  if (!repository?.readsFile) {
    await sql.query(`delete from croft.schedules ${where}`, key);
    return;
  }
  const delivery = `schedule ${next_at.toISOString()} ${cron} ${zone} ${builds.join(" ")}`.trimEnd();
  await sql.query(
    `insert into croft.forge_events (repository, delivery, digest, kind, reference, commit, event, trusted, state)
     values ($1, $2, '', 'schedule', $3, '', $4, $5, 'reading') on conflict (repository, delivery) do nothing`,
    [
      name,
      delivery,
      event.reference,
      JSON.stringify(event),
      isTrusted(repository, { ...event, kind: "push" }),
    ],
  );
  await sql.query(`update croft.schedules set next_at = $5 ${where}`, [
    ...key,
    nextTime({ cron, zone }, now).toISOString(),
  ]);
}

/** Seconds until the next is due; undefined if there is none. */
export async function nextSchedule(sql: Sql): Promise<number | undefined> {
  const [row] = await sql.query<{ seconds: number | null }>(
    "select extract(epoch from min(next_at) - now())::double precision as seconds from croft.schedules",
  );
  return row?.seconds ?? undefined;
}
