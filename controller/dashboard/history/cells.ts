/** The cells of a matrix: builds of one name, each of which knows its place. */
import type { Sql } from "../../database/database.ts";
import { isGood } from "./package-builds.ts";

/** A build, as far as a matrix shows it. */
export interface CellBuild {
  id: number;
  row: string;
  column: number;
  title: string | null;
  state: string;
  status: string | null;
}

/** A row: its builds by column. */
export interface MatrixRow {
  name: string;
  cells: ReadonlyMap<number, CellBuild>;
  failed: number;
}

/** What of a matrix is shown. */
export interface MatrixLook {
  columns: readonly { column: number; title: string }[];
  /** Those in which something has failed before all others, then by name. */
  rows: readonly MatrixRow[];
  builds: number;
  ended: number;
  failed: number;
}

/** The newest build of each cell. */
export async function cellsOf(sql: Sql, name: string, withPrivate: boolean): Promise<CellBuild[]> {
  return await sql.query<CellBuild>(
    `select distinct on (specification->'cell'->>'row', (specification->'cell'->>'column')::integer) id,
       specification->'cell'->>'row' as row, (specification->'cell'->>'column')::integer as column,
       specification->'cell'->>'title' as title, state, status
     from croft.builds where name = $1 and specification ? 'cell' and ($2 or not is_private)
     order by specification->'cell'->>'row', (specification->'cell'->>'column')::integer, id desc`,
    [name, withPrivate],
  );
}

/** Puts them in their places. */
export function matrixOf(builds: readonly CellBuild[]): MatrixLook {
  const titles = new Map(builds.map(({ column, title }) => [column, title ?? String(column)]));
  const rows = [...Map.groupBy(builds, ({ row }) => row)].map(([name, own]) => ({
    name,
    cells: new Map(own.map((build) => [build.column, build])),
    failed: own.filter(hasFailed).length,
  }));
  return {
    columns: [...titles]
      .map(([column, title]) => ({ column, title }))
      .sort((one, other) => one.column - other.column),
    rows: rows.sort(
      (one, other) => Number(other.failed > 0) - Number(one.failed > 0) || (one.name < other.name ? -1 : 1),
    ),
    builds: builds.length,
    ended: builds.filter(({ state }) => state === "finished" || state === "cancelled").length,
    failed: builds.filter(hasFailed).length,
  };
}

function hasFailed({ state, status }: CellBuild): boolean {
  return state === "finished" && !isGood({ status });
}
