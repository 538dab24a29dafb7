/** Blobs that nothing refers to: removed beside running uploads, by the rules of ../files/blobs.ts. */
import { blobName, type BlobStorage, type StoredAs, type StoredBlob } from "../files/blob-storage.ts";
import type { Database, Sql } from "../database/database.ts";
import { carryOut } from "./removals.ts";
import { add, type Amount } from "./rules.ts";

/** Looked at by one statement. */
const lookedAtOnce = 500;
/** Written down in one transaction, for whose end may wait who stores the same. */
const removedAtOnce = 50;

interface Row {
  digest: string;
  bytes: number;
}

/** After a claim (files/blobs.ts); whoever takes longer to refer to what was stored finds that it is gone. */
const unclaimed = "b.used_at < now() - interval '1 hour'";
const unused = `not exists (select 1 from croft.operations o where o.log_digest = b.digest)
  and not exists (select 1 from croft.artifacts a where a.digest = b.digest)
  and not exists (select 1 from croft.live_logs l where l.digest = b.digest)
  and not exists (select 1 from croft.builds t where t.tree = b.digest)`;

/** Blobs without a reference, some at a time. */
export async function* unusedBlobs(database: Database): AsyncGenerator<readonly Row[]> {
  let from = "";
  for (;;) {
    const page = await database.query<Row & { goes: boolean }>(
      `select b.digest, b.bytes, ${unclaimed} and ${unused} as goes from (
         select * from croft.blobs where digest > $1 order by digest limit ${lookedAtOnce}) as b
       order by b.digest`,
      [from],
    );
    if (page.length === 0) return;
    yield page.filter(({ goes }) => goes);
    from = page.at(-1)!.digest;
  }
}

/** Removes blobs that are not used again since they were looked at. */
export async function removeBlobs(
  database: Database,
  storage: BlobStorage,
  blobs: readonly Row[],
  removed: Amount,
): Promise<void> {
  for (let from = 0; from < blobs.length; from += removedAtOnce) {
    const digests = blobs.slice(from, from + removedAtOnce).map(({ digest }) => digest);
    const gone = await database.transaction((sql) => writeDownUnused(sql, digests));
    await carryOut(database, storage, gone);
    for (const { bytes } of gone) add(removed, bytes);
  }
}

/**
 * First the rows are locked, then looked at: by another statement, as one that waits for a lock does not see what was
 * referred to meanwhile. Rows that others hold are in use.
 */
async function writeDownUnused(sql: Sql, digests: readonly string[]): Promise<(Row & StoredAs)[]> {
  const held = await sql.query<Row>(
    "select digest from croft.blobs where digest = any($1::text[]) for update skip locked",
    [digests],
  );
  return await sql.query<Row & StoredAs>(
    `with gone as (delete from croft.blobs b where b.digest = any($1::text[]) and ${unclaimed} and ${unused}
       returning b.digest, b.generation, b.bytes),
     noted as (insert into croft.removals (digest, generation) select digest, generation from gone on conflict do nothing)
     select * from gone`,
    [held.map(({ digest }) => digest)],
  );
}

/** A blob that is stored, and has no row. */
export interface Rowless extends StoredBlob {
  /** Whether its digest has a row, of another generation. */
  isStray: boolean;
}

/**
 * Blobs that are stored, and have no row: of a controller that was killed, or whose disk has brought back what was removed.
 * Who stores one writes its row before, so none of these is being stored by now; but its content may be, in a moment.
 */
export async function* rowlessBlobs(
  database: Database,
  storage: BlobStorage,
): AsyncGenerator<readonly Rowless[]> {
  for await (const stored of storage.list())
    for (let from = 0; from < stored.length; from += lookedAtOnce) {
      const page = stored.slice(from, from + lookedAtOnce);
      const digests = [page.map(({ digest }) => digest)];
      const rows = await database.query<StoredAs>(
        "select digest, generation from croft.blobs where digest = any($1::text[])",
        digests,
      );
      const removals = await database.query<StoredAs>(
        "select digest, generation from croft.removals where digest = any($1::text[])",
        digests,
      );
      const known = new Set([...rows, ...removals].map(blobName));
      const withRow = new Set(rows.map(({ digest }) => digest));
      yield page
        .filter((one) => !known.has(blobName(one)))
        .map((one) => ({ ...one, isStray: withRow.has(one.digest) }));
    }
}

/** Gives rows to those that have none: from then on they are like others. */
export async function giveRows(database: Database, blobs: readonly StoredBlob[]): Promise<void> {
  if (blobs.length === 0) return;
  await database.query(
    `insert into croft.blobs (digest, generation, bytes, used_at)
     select * from unnest($1::text[], $2::integer[], $3::double precision[], $4::timestamptz[]) on conflict do nothing`,
    [
      blobs.map(({ digest }) => digest),
      blobs.map(({ generation }) => generation),
      blobs.map(({ bytes }) => bytes),
      blobs.map(({ changedAt }) => changedAt.toISOString()),
    ],
  );
}

/** How much of what builds have nothing else would refer to without them. */
export class BlobsOfBuilds {
  readonly #uses = new Map<string, { count: number; bytes: number }>();

  /** Adds builds; each once. */
  async add(database: Database, builds: readonly number[]): Promise<void> {
    const found = await database.query<Row & { count: number }>(
      `select digest, max(bytes) as bytes, count(*)::integer as count from (
         select o.log_digest as digest, o.log_bytes as bytes from croft.operations o
           join croft.sessions s on s.id = o.session where s.build = any($1::integer[])
         union all select a.digest, a.bytes from croft.artifacts a
           join croft.sessions s on s.id = a.session where s.build = any($1::integer[])
         union all select t.tree, b.bytes from croft.builds t
           join croft.blobs b on b.digest = t.tree where t.id = any($1::integer[])
       ) as used group by digest`,
      [builds],
    );
    this.#note(found);
  }

  /** Adds live logs that have become blobs, by their sessions; each once. */
  async addLiveLogs(database: Database, sessions: readonly number[]): Promise<void> {
    const found = await database.query<Row & { count: number }>(
      `select digest, max(bytes) as bytes, count(*)::integer as count from croft.live_logs
       where digest is not null and session = any($1::integer[]) group by digest`,
      [sessions],
    );
    this.#note(found);
  }

  #note(found: readonly (Row & { count: number })[]): void {
    for (const { digest, bytes, count } of found)
      this.#uses.set(digest, { bytes, count: count + (this.#uses.get(digest)?.count ?? 0) });
  }

  async only(database: Database, into: Amount): Promise<void> {
    const digests = [...this.#uses.keys()];
    for (let from = 0; from < digests.length; from += lookedAtOnce) {
      const rows = await database.query<{ digest: string; count: number }>(
        `select b.digest, ((select count(*) from croft.operations o where o.log_digest = b.digest) +
           (select count(*) from croft.artifacts a where a.digest = b.digest) +
           (select count(*) from croft.live_logs l where l.digest = b.digest) +
           (select count(*) from croft.builds t where t.tree = b.digest))::integer as count
         from croft.blobs b where b.digest = any($1::text[]) and ${unclaimed}`,
        [digests.slice(from, from + lookedAtOnce)],
      );
      for (const { digest, count } of rows) {
        const use = this.#uses.get(digest)!;
        if (use.count === count) add(into, use.bytes);
      }
    }
  }
}
