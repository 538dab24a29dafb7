/**
 * Whether a build breaks its package for its target, or fixes it: people are told when that changes, and not of each build. What counts
 * is the newest build that has ended, of the usual branch; one that ends after a newer one changes nothing any more.
 */
import { isFailure, type ResultStatus } from "../../manifests/result-status.ts";
import type { Build } from "../builds/build.ts";
import type { Sql } from "../database/database.ts";

/** What a build that has ended changes of how its package stands, which is noted; undefined: nothing. */
export async function changeBy(sql: Sql, build: Build): Promise<"broken" | "fixed" | undefined> {
  const { id, name, target, state, status, on_badge } = build;
  if (state !== "finished" || !on_badge || status === null || status === "interrupt") return undefined;
  const isGood = !isFailure(status as ResultStatus);
  // Of what was built before anybody was to be told; without that, a package is taken for one that builds.
  await sql.query(
    `insert into croft.standings (name, target, build, is_good)
       select $1, $2, coalesce(max(last.id), 0), coalesce(bool_and(last.status in ('success', 'warning', 'skip')), true)
       from (select id, status from croft.builds
         where name = $1 and target = $2 and state = 'finished' and on_badge and status <> 'interrupt' and id < $3
         order by id desc limit 1) as last
     on conflict do nothing`,
    [name, target, id],
  );
  const [standing] = await sql.query<{ build: number; is_good: boolean }>(
    "select build, is_good from croft.standings where name = $1 and target = $2 for update",
    [name, target],
  );
  if (!standing || standing.build >= id) return undefined;
  await sql.query("update croft.standings set build = $3, is_good = $4 where name = $1 and target = $2", [
    ...[name, target, id, isGood],
  ]);
  if (isGood === standing.is_good) return undefined;
  return isGood ? "fixed" : "broken";
}
