/**
 * Left-aligned columns, two blanks apart, with nothing at the end of a line.
 *
 * @param rows the last cell of a row with fewer cells than the first one runs on, and makes no column wider.
 */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const columns = rows[0]?.length ?? 0;
  const widths: number[] = Array.from({ length: columns }, () => 0);
  for (const row of rows) {
    const cells = row.length < columns ? row.slice(0, -1) : row;
    for (const [column, cell] of cells.entries())
      widths[column] = Math.max(widths[column] ?? 0, widthOf(cell));
  }
  const pad = (cell: string, column: number) =>
    cell + " ".repeat(Math.max(0, (widths[column] ?? 0) - widthOf(cell)));
  return rows.map((row) => `${row.map(pad).join("  ").trimEnd()}\n`).join("");
}

/** In characters, and not in halves of those beyond U+FFFF. */
function widthOf(cell: string): number {
  return [...cell].length;
}
