/**
 * Live logs of controllers that share a database: in it while they grow, chunk by chunk, so that what one controller takes
 * another one shows. When nothing more comes they become blobs (`archive`, by whichever controller sees it first), as a
 * database is no place for what nobody looks at.
 *
 * Whoever appends holds the log's row until its chunk is written; each reads a log with one statement, which sees it either
 * in chunks or as a blob.
 */
import { Readable } from "node:stream";
import type { Database, Sql } from "../database/database.ts";
import type { BlobStore } from "./blobs.ts";
import { lastOf, takeChunk, type Appended, type KeptLiveLogs, type LiveLogSource } from "./live-log-chunk.ts";

const pieceBytes = 64 * 1024;
const archivedAtOnce = 20;

interface LogRow {
  bytes: number;
  held: Buffer;
  digest: string | null;
}

/** The live logs of a database. */
export class SharedLiveLogs implements KeptLiveLogs {
  readonly #database: Database;
  readonly #blobs: Pick<BlobStore, "receive" | "keep" | "hold" | "read">;
  readonly #limitBytes: number;
  /** Many may follow one build, and read the same at once. */
  readonly #reading = new Map<string, Promise<Buffer>>();

  constructor(
    database: Database,
    blobs: Pick<BlobStore, "receive" | "keep" | "hold" | "read">,
    limitBytes: number,
  ) {
    this.#database = database;
    this.#blobs = blobs;
    this.#limitBytes = limitBytes;
  }

  async size(session: number): Promise<number> {
    return (await this.#row(this.#database, session))?.bytes ?? 0;
  }

  source(session: number): LiveLogSource {
    return {
      size: () => this.size(session),
      read: (start, end) => Readable.from(this.#pieces(session, start, end), { objectMode: false }),
    };
  }

  async *#pieces(session: number, start: number, end: number): AsyncGenerator<Buffer> {
    for (let at = start; at < end;) {
      const piece = await this.#readOnce(session, at, Math.min(16 * pieceBytes, end - at));
      if (piece.length === 0) return;
      yield piece;
      at += piece.length;
    }
  }

  async append(
    session: number,
    offset: number,
    chunk: Uint8Array,
    secrets: readonly string[] = [],
  ): Promise<Appended> {
    return await this.#database.transaction(async (sql) => {
      await sql.query("insert into croft.live_logs (session) values ($1) on conflict do nothing", [session]);
      const row = (await this.#row(sql, session, "for update"))!;
      if (row.digest !== null) return { appended: 0 };
      const end = { written: row.bytes, held: row.held };
      const taken = takeChunk(end, { offset, chunk, secrets }, this.#limitBytes);
      if (!("write" in taken)) return taken;
      await write(sql, session, row.bytes, taken.write, taken.held);
      return { appended: taken.appended };
    });
  }

  async finish(session: number): Promise<void> {
    await this.#database.transaction(async (sql) => {
      const row = await this.#row(sql, session, "for update");
      if (row && row.held.length > 0) await write(sql, session, row.bytes, lastOf(row.held), Buffer.alloc(0));
    });
  }

  async sessions(): Promise<number[]> {
    const found = await this.#database.query<{ session: number }>(
      "select session from croft.live_logs order by session",
    );
    return found.map(({ session }) => session);
  }

  async remove(session: number): Promise<number | undefined> {
    const [gone] = await this.#database.query<{ bytes: number }>(
      "delete from croft.live_logs where session = $1 returning bytes",
      [session],
    );
    return gone?.bytes;
  }

  /** Those who come while somebody reads the same share what is read next, if it was nothing: it may be older than they are. */
  async read(session: number, offset: number, length = pieceBytes): Promise<Buffer> {
    const key = `${session} ${offset} ${length}`;
    const before = await this.#reading.get(key);
    if (before && before.length > 0) return before;
    let reading = this.#reading.get(key);
    if (!reading) {
      reading = this.#readOnce(session, offset, length).finally(() => this.#reading.delete(key));
      this.#reading.set(key, reading);
    }
    return await reading;
  }

  async #readOnce(session: number, offset: number, length: number): Promise<Buffer> {
    const rows = await this.#database.query<{ digest: string | null; bytes: number; part: Buffer | null }>(
      `select l.digest, l.bytes, substring(c.content from greatest($2::integer - c.start, 0) + 1 for $3::integer) as part
       from croft.live_logs l left join croft.live_log_chunks c on c.session = l.session and c.start < $2::integer + $3::integer
         and c.start >= (select coalesce(max(n.start), 0) from croft.live_log_chunks n
           where n.session = $1 and n.start <= $2::integer)
       where l.session = $1 order by c.start`,
      [session, offset, length],
    );
    const [row] = rows;
    if (!row || offset >= row.bytes) return Buffer.alloc(0);
    if (row.digest === null) return Buffer.concat(rows.flatMap(({ part }) => part ?? [])).subarray(0, length);
    const pieces: Buffer[] = [];
    const end = Math.min(offset + length, row.bytes);
    for await (const piece of this.#blobs.read(row.digest, offset, end)) pieces.push(piece as Buffer);
    return Buffer.concat(pieces);
  }

  /** Makes blobs of logs from which nothing more comes; to be called from time to time. */
  async archive(): Promise<void> {
    const over = await this.#database.query<{ session: number }>(
      `select l.session from croft.live_logs l left join croft.sessions s on s.id = l.session
       where l.digest is null and (s.id is null or (s.ended_at < now() - interval '30 seconds'
         and s.state in ('finished', 'superseded', 'cancelled'))
         or (s.state = 'expired' and s.ended_at < now() - interval '2 hours'))
       order by l.session limit ${archivedAtOnce}`,
    );
    for (const { session } of over) await this.#archive(session);
  }

  async #archive(session: number): Promise<void> {
    await this.finish(session);
    await using incoming = await this.#blobs.receive(this.#pieces(session, 0, Infinity));
    await this.#blobs.keep([incoming]);
    await this.#database.transaction(async (sql) => {
      const row = await this.#row(sql, session, "for update");
      if (!row || row.digest !== null || row.bytes !== incoming.bytes) return;
      await this.#blobs.hold(sql, [incoming.digest]);
      await sql.query("update croft.live_logs set digest = $2 where session = $1", [
        session,
        incoming.digest,
      ]);
      await sql.query("delete from croft.live_log_chunks where session = $1", [session]);
    });
  }

  async #row(sql: Sql, session: number, lock = ""): Promise<LogRow | undefined> {
    const [row] = await sql.query<LogRow>(
      `select bytes, held, digest from croft.live_logs where session = $1 ${lock}`,
      [session],
    );
    return row;
  }
}

async function write(sql: Sql, session: number, start: number, content: Buffer, held: Buffer): Promise<void> {
  if (content.length > 0)
    await sql.query("insert into croft.live_log_chunks (session, start, content) values ($1, $2, $3)", [
      ...[session, start, content],
    ]);
  await sql.query("update croft.live_logs set bytes = bytes + $2, held = $3 where session = $1", [
    ...[session, content.length, held],
  ]);
}
