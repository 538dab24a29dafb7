/** How a package stands: what its builds have ended with last. */
import { worstStatus, type ResultStatus } from "../../manifests/result-status.ts";
import { alongIndex } from "../database/along-index.ts";
import type { Sql } from "../database/database.ts";

/**
 * The worst of what the last build for each target has ended with, pull requests and other branches than the usual one left out.
 *
 * @returns `unknown` if there is no build of the package at all; undefined if none has ended.
 */
export async function standingOf(
  database: Sql,
  name: string,
  targets: readonly string[],
  withPrivate = true,
): Promise<ResultStatus | "unknown" | undefined> {
  const alike = alongIndex({ name: "$1::text", target: "t.target" });
  const ended = await database.query<{ status: ResultStatus }>(
    `select last.status from unnest($2::text[]) as t (target) cross join lateral (
       select status from croft.builds where ${alike.condition} and state = 'finished' and on_badge
         and ($3 or not is_private) order by ${alike.newestFirst} limit 1) as last`,
    [name, targets, withPrivate],
  );
  if (ended.length > 0) return ended.map(({ status }) => status).reduce(worstStatus);
  const [row] = await database.query<{ any: boolean }>(
    "select exists (select from croft.builds where name = $1 and ($2 or not is_private)) as any",
    [name, withPrivate],
  );
  return row!.any ? undefined : "unknown";
}
