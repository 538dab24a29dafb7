/** What became of a package over time: its builds, by submission and target. */
import type { Build } from "../../builds/build.ts";
import type { Sql } from "../../database/database.ts";
import { worstStatus, type ResultStatus } from "../../../manifests/result-status.ts";

/** Builds of a package that are looked at, the newest. */
const mostBuilds = 600;

/** What was asked for at once. */
export interface SubmissionRow {
  /** The number of its first build. */
  id: number;
  /** By target, the newest of each. */
  builds: ReadonlyMap<string, Build>;
  newest: Build;
}

/** How a target stands that does not end well any more. */
interface Break {
  target: string;
  /** The first that failed, and all since. */
  first: Build;
  /** The last that ended well, if any is known. */
  lastGood: Build | undefined;
}

/** The newest builds of a package. */
export async function buildsOfPackage(sql: Sql, name: string, withPrivate: boolean): Promise<Build[]> {
  return await sql.query<Build>(
    "select * from croft.builds where name = $1 and ($2 or not is_private) order by id desc limit $3",
    [name, withPrivate, mostBuilds],
  );
}

/** Rows of a matrix, the newest first; what the limit may have cut is left out. */
export function submissionsOf(builds: readonly Build[], most: number): SubmissionRow[] {
  const rows = new Map<number, Map<string, Build>>();
  for (const build of builds) {
    const id = build.submission ?? build.id;
    const row = rows.get(id) ?? new Map<string, Build>();
    if (!row.has(build.target)) row.set(build.target, build);
    rows.set(id, row);
  }
  return [...rows].slice(0, most).map(([id, row]) => ({ id, builds: row, newest: [...row.values()][0]! }));
}

/** Whether an ended build says that the package is good. */
export function isGood({ status }: Pick<Build, "status">): boolean {
  return status === "success" || status === "warning" || status === "skip";
}

/** Targets whose last build has failed, and since when. */
export function breaksOf(builds: readonly Build[]): Break[] {
  const breaks: Break[] = [];
  for (const [target, own] of Map.groupBy(ended(builds), (build) => build.target)) {
    if (isGood(own[0]!)) continue;
    const good = own.findIndex(isGood);
    breaks.push({
      target,
      first: own[(good < 0 ? own.length : good) - 1]!,
      lastGood: good < 0 ? undefined : own[good],
    });
  }
  return breaks.sort((one, other) => (one.target < other.target ? -1 : 1));
}

/** Those that have ended with a status, the newest first. */
export function ended(builds: readonly Build[]): Build[] {
  return builds.filter(({ state, status }) => state === "finished" && status !== null);
}

/** The worst of the newest of each target; undefined if none has ended. */
export function standing(builds: readonly Build[]): ResultStatus | undefined {
  const newest = [...Map.groupBy(ended(builds), ({ target }) => target).values()].map(([first]) => first!);
  if (newest.length === 0) return undefined;
  return newest.map(({ status }) => status as ResultStatus).reduce(worstStatus);
}

/** What of a repository's URL tells one state of it from another: branch and commit, shortened. */
export function revisionOf(repository: string): string | undefined {
  const [, fragment] = /#(.+)$/.exec(repository) ?? [];
  if (fragment === undefined) return undefined;
  return fragment.replace(/\b([0-9a-f]{12})[0-9a-f]{28,52}\b/g, "$1");
}
