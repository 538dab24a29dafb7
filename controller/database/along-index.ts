/** Greater than all numbers of rows. */
export const beyondAll = 2_147_483_647;

/**
 * Conditions by which rows that have some values in common are found at their place in an index of these columns and `id`, and the order
 * in which they stand there. If the columns were compared one by one, the index of `id` alone could be taken for cheaper, from whose end on
 * as many rows as there are may be gone through in vain: the rows with a rare value may all be old.
 *
 * @param values by column, in the index's order: SQL expressions
 * @param below SQL of a number that is greater than those wanted
 */
export function alongIndex(
  values: Readonly<Record<string, string>>,
  below: string | number = beyondAll,
): { condition: string; newestFirst: string; oldestFirst: string } {
  const columns = [...Object.keys(values), "id"];
  const row = `(${columns.join(", ")})`;
  const rowOf = (id: string | number) => `(${[...Object.values(values), id].join(", ")})`;
  return {
    condition: `${row} > ${rowOf(0)} and ${row} < ${rowOf(below)}`,
    newestFirst: columns.map((column) => `${column} desc`).join(", "),
    oldestFirst: columns.join(", "),
  };
}
