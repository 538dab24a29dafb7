/** Lists of builds, narrowed to what somebody looks for, and how many there are of them. */
import { alongIndex, beyondAll } from "../database/along-index.ts";
import type { Sql } from "../database/database.ts";
import type { Build, BuildState } from "./build.ts";

/** What a list may be narrowed to. */
export interface BuildFilter {
  state?: string;
  status?: string;
  target?: string;
  name?: string;
  /** An agent that has had the build. */
  agent?: string;
  /** The number of a submission: that of its first build. */
  submission?: number;
  /**
   * In a package's name; if no package is called so, in version, repository or submitter of the newest builds. `#7` is the build of
   * this number.
   */
  text?: string;
  /** Submitted since the beginning of this day, of UTC, such as `2026-01-31`. */
  since?: string;
  /** Submitted until the end of this day. */
  until?: string;
  /** Only builds with a lower id: the last one of the previous page. */
  before?: number;
  /** Not those that are private. */
  publicOnly?: boolean;
  limit: number;
}

/** So many are counted; who has more of a kind is not told how many. */
export const mostCounted = 1000;

/** Builds whose texts are searched, the newest. */
const mostSearched = 20_000;
/** Packages whose names have a text in them. */
const mostNames = 200;

/** Newest first. */
export async function listBuilds(sql: Sql, filter: BuildFilter): Promise<Build[]> {
  const shared = sharedBy(filter);
  const { before = beyondAll, ...others } = filter;
  for (const column of shared) delete others[column];
  const { conditions, values } = await conditionsOf(sql, others);
  const place = (value: unknown, type: "text" | "integer") => `$${values.push(value)}::${type}`;
  const alike = alongIndex(
    Object.fromEntries(shared.map((column) => [column, place(filter[column], "text")])),
    place(before, "integer"),
  );
  return await sql.query<Build>(
    `select * from croft.builds where ${[alike.condition, ...conditions].join(" and ")}
     order by ${alike.newestFirst} limit ${place(filter.limit, "integer")}`,
    values,
  );
}

/** Columns of the index by which a list is found soonest. */
function sharedBy({ name, target, status, state }: BuildFilter): ("name" | "target" | "status" | "state")[] {
  if (name) return ["name"];
  if (target) return state ? ["target", "state"] : ["target"];
  return status ? ["status"] : state ? ["state"] : [];
}

/** How many builds there are in each state of those that a filter lets through, whatever state it asks for; no more than {@link mostCounted}+1. */
export async function countBuilds(
  sql: Sql,
  { state: _, before: _before, ...filter }: BuildFilter,
): Promise<Record<BuildState, number>> {
  const { conditions, values } = await conditionsOf(sql, filter);
  const counted = (state: BuildState) =>
    `(select count(*)::integer from (select 1 from croft.builds
        where ${[`state = '${state}'`, ...conditions].join(" and ")} limit ${mostCounted + 1}) as counted) as ${state}`;
  const states = (["queued", "building", "finished", "cancelled"] as const).map(counted);
  const [counts] = await sql.query<Record<BuildState, number>>(`select ${states.join(", ")}`, values);
  return counts!;
}

async function conditionsOf(
  sql: Sql,
  filter: BuildFilter,
): Promise<{ conditions: string[]; values: unknown[] }> {
  const conditions: string[] = [];
  const values: unknown[] = [];
  const add = (condition: string, value: unknown) => {
    if (value === undefined || value === "") return;
    values.push(value);
    conditions.push(condition.replaceAll("?", `$${values.length}`));
  };
  add("state = ?", filter.state);
  add("status = ?", filter.status);
  add("target = ?", filter.target);
  add("name = ?", filter.name);
  add("id < ?", filter.before);
  add("id in (select build from croft.sessions where agent = ?)", filter.agent);
  add("(submission = ?::integer or (id = ?::integer and submission is null))", filter.submission);
  // Numbers are given out in the order of time, and by them the list is sorted.
  add(`id >= ${firstSince}`, filter.since && startOf(filter.since));
  add(`id < ${firstSince}`, filter.until && startOf(filter.until, 1));
  if (filter.text !== undefined && filter.text !== "") await addText(sql, filter.text, add);
  if (filter.publicOnly) conditions.push("not is_private");
  return { conditions, values };
}

const firstSince =
  "coalesce((select id from croft.builds where created_at >= ?::timestamptz order by created_at, id limit 1), 2147483647)";

/** One that the calendar does not have is the one so many days later. */
function startOf(day: string, later = 0): Date {
  const [year = 0, month = 1, date = 1] = day.split("-").map(Number);
  return new Date(Date.UTC(year, month - 1, date + later));
}

async function addText(
  sql: Sql,
  text: string,
  add: (condition: string, value: unknown) => void,
): Promise<void> {
  const [, number] = /^#(\d{1,9})$/.exec(text.trim()) ?? [];
  if (number !== undefined) return add("id = ?", Number(number));
  const names = await namesWith(sql, text.trim());
  if (names.length > 0) return add("name = any(?::text[])", names);
  add(
    `id > (select coalesce(max(id), 0) - ${mostSearched} from croft.builds)
       and (strpos(lower(version), ?) > 0 or strpos(lower(repository), ?) > 0 or strpos(lower(coalesce(submitted_by, '')), ?) > 0)`,
    text.trim().toLowerCase(),
  );
}

/** Names of packages with a text in them; each is looked up in the index once, however many builds it has. */
async function namesWith(sql: Sql, text: string): Promise<string[]> {
  const rows = await sql.query<{ name: string }>(
    `with recursive names (name) as (
       (select name from croft.builds order by name limit 1)
       union all
       select (select b.name from croft.builds b where b.name > n.name order by b.name limit 1) from names n where n.name is not null
     )
     select name from names where strpos(lower(name), $1) > 0 limit ${mostNames}`,
    [text.toLowerCase()],
  );
  return rows.map(({ name }) => name);
}
