/** The tables of a database, as it describes them itself. */
import type { Sql } from "../database/database.ts";

/** All tables of croft, each after those that it refers to. */
export async function tablesOf(sql: Sql): Promise<string[]> {
  const rows = await sql.query<{ name: string; needs: string[] }>(
    `select c.relname as name, array(
       select distinct r.relname::text from pg_constraint k join pg_class r on r.oid = k.confrelid
       where k.conrelid = c.oid and k.contype = 'f' and r.oid <> c.oid) as needs
     from pg_class c where c.relnamespace = 'croft'::regnamespace and c.relkind = 'r' order by c.relname`,
  );
  const ordered: string[] = [];
  while (ordered.length < rows.length) {
    const next = rows.find(
      ({ name, needs }) => !ordered.includes(name) && needs.every((need) => ordered.includes(need)),
    );
    if (!next) throw new Error("tables refer to each other in a circle");
    ordered.push(next.name);
  }
  return ordered;
}

/** The columns of a table, and the one that the database counts by itself, if there is one. */
export async function columnsOf(
  sql: Sql,
  table: string,
): Promise<{ names: string[]; identity: string | undefined }> {
  const columns = await sql.query<{ name: string; identity: string }>(
    `select attname as name, attidentity as identity from pg_attribute
     where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = '' order by attnum`,
    [`croft.${table}`],
  );
  return {
    names: columns.map(({ name }) => name),
    identity: columns.find(({ identity }) => identity !== "")?.name,
  };
}
