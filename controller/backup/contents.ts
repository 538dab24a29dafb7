/**
 * What a backup has in it of a controller that goes on working meanwhile.
 *
 * The database is copied at one moment. What it refers to is there then, and stays as it is: blobs never change, and none is
 * removed while retention is held. So whatever comes later does no harm. Only live logs grow on, and those of sessions that
 * the copy does not know are left out: another session will have their number.
 */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { packageVersion } from "../../os/files/package.ts";
import { randomTail } from "../../os/files/random-tail.ts";
import type { Database } from "../database/database.ts";
import type { EmbeddedDatabase } from "../database/embedded.ts";
import { knownTables } from "../database/migrations.ts";
import type { DataDirectory } from "../files/data-directory.ts";
import { blobName, blobPath } from "../files/blob-storage.ts";
import { DirectoryStorage } from "../files/directory-storage.ts";
import { Failure } from "../../os/failure.ts";
import type { Retention } from "../retention/retention.ts";
import { archiveOf, formatVersion, headName, type ArchiveEntry, type BackupHead } from "./archive.ts";

/** What is backed up. */
export interface BackupParts {
  readonly directory: DataDirectory;
  readonly database: Database;
  readonly retention: Pick<Retention, "hold">;
  /** `directory`, or the name of another storage of blobs, which is left where it is. */
  readonly storage: string;
}

/**
 * Starts a backup, which lasts until the archive has been read, or is destroyed.
 *
 * @throws {Failure} if the database is that of a server.
 */
export async function beginBackup(parts: BackupParts): Promise<Readable> {
  const { directory, database } = parts;
  if (!isEmbedded(database))
    throw new Failure("back up the controller", "its database is that of a PostgreSQL server", {
      hints: ["Use pg_dump, and copy the storage: docs/backup.md says in which order."],
    });
  await using stack = new AsyncDisposableStack();
  stack.use(await parts.retention.hold());
  const copy = join(directory.incoming, `backup-${randomTail()}`);
  stack.defer(() => rm(copy, { recursive: true, force: true }));
  const [newest] = await database.query<{ id: number }>(
    "select coalesce(max(id), 0)::integer as id from croft.sessions",
  );
  await database.copyTo(copy);
  const archive = Readable.from(archiveOf(entriesOf(parts, copy, newest!.id)), { objectMode: false });
  const held = stack.move();
  archive.once("close", () => void held.disposeAsync()); // also if nobody has read any of it
  return archive;
}

async function* entriesOf(
  { directory, storage }: BackupParts,
  copy: string,
  newestSession: number,
): AsyncGenerator<ArchiveEntry> {
  const head: BackupHead = {
    ...{ format: formatVersion, croft: packageVersion, tables: knownTables },
    ...{ madeAt: new Date().toISOString(), storage },
  };
  yield { path: headName, content: Buffer.from(`${JSON.stringify(head, null, 2)}\n`) };
  yield* filesBelow(copy, "database");
  await rm(copy, { recursive: true, force: true }); // the rest takes longer, and needs no room
  for (const name of await readdir(directory.logs)) {
    const session = /^(\d{1,9})\.log$/.exec(name)?.[1];
    if (session === undefined || Number(session) > newestSession) continue;
    yield* fileAt(join(directory.logs, name), `logs/${name}`);
  }
  for (const name of await readdir(directory.rejected))
    if (/^build-\d+-attempt-\d+\.manifest$/.test(name))
      yield* fileAt(join(directory.rejected, name), `rejected/${name}`);
  if (storage !== "directory") return;
  const blobs = new DirectoryStorage(directory.blobs);
  for await (const stored of blobs.list())
    for (const { bytes, ...blob } of stored) {
      const name = blobName(blob);
      yield { path: `blobs/${blobPath(name)}`, file: blobs.path(name), bytes };
    }
}

/** Directories come before what is in them. */
async function* filesBelow(directory: string, path: string): AsyncGenerator<ArchiveEntry> {
  yield { path, isDirectory: true };
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const [from, to] = [join(directory, entry.name), `${path}/${entry.name}`];
    if (entry.isDirectory()) yield* filesBelow(from, to);
    else if (entry.isFile()) yield* fileAt(from, to);
  }
}

/** Nothing if it has been removed meanwhile. */
async function* fileAt(file: string, path: string): AsyncGenerator<ArchiveEntry> {
  const bytes = (await stat(file).catch(() => undefined))?.size;
  if (bytes !== undefined) yield { path, file, bytes };
}

function isEmbedded(database: Database): database is EmbeddedDatabase {
  return "copyTo" in database;
}
