/**
 * Makes a data directory of a backup: beside where it is to be, under another name that it loses when all of it is there and
 * has been looked at. Whoever is killed before leaves nothing that a controller would start on.
 */
import { existsSync } from "node:fs";
import { mkdir, open, readdir, rename, rm, rmdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import { makeDirectoryDurably, syncDirectory } from "../../os/files/durable.ts";
import { tryLockFile } from "../../os/files/flock.ts";
import { syncFileSystem } from "../../os/files/sync-file-system.ts";
import type { Database } from "../database/database.ts";
import { openEmbedded } from "../database/embedded.ts";
import { knownTables, migrate } from "../database/migrations.ts";
import { DirectoryStorage } from "../files/directory-storage.ts";
import { blobName, type StoredAs } from "../files/blob-storage.ts";
import { readBackup, type BackupContents } from "./reading.ts";

/** What was restored. */
export interface Restored extends BackupContents {
  builds: number;
  /** Logs and artifacts that builds refer to, and that the backup does not have. */
  missing: number;
}

/** Builds that were submitted after the backup had numbers that are not given again: links to them show no other build. */
const numbersLeftOut = 10_000;
const lookedAtOnce = 1000;

/**
 * Restores a backup.
 *
 * @param data the data directory to be: not there, or empty.
 * @throws {Failure} if it is in use, or the backup is of no use; nothing is restored then.
 */
export async function restore(
  archive: AsyncIterable<Uint8Array>,
  what: string,
  data: string,
): Promise<Restored> {
  await refuseUsed(data);
  const unfinished = join(dirname(data), `.${basename(data)}.restoring`);
  await makeDirectoryDurably(dirname(data));
  await mkdir(unfinished, { mode: 0o700, recursive: true });
  using _lock = lockOf(unfinished, data);
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(unfinished, { recursive: true, force: true }));
  for (const name of await readdir(unfinished))
    if (name !== "lock") await rm(join(unfinished, name), { recursive: true, force: true });
  for (const name of ["blobs", "logs", "incoming", "rejected"])
    await mkdir(join(unfinished, name), { mode: 0o700 });
  const contents = await readBackup(archive, what, async ({ path, isDirectory, head }, content) => {
    if (head.tables > knownTables)
      throw new Failure(`use the backup '${what}'`, `a later version of croft made it (${head.croft})`);
    if (isDirectory) await mkdir(join(unfinished, path), { mode: 0o700 });
    else await write(join(unfinished, path), content);
  });
  const looked = await lookAt(unfinished, what, contents);
  await syncFileSystem(unfinished);
  await putInPlace(unfinished, data);
  return { ...contents, ...looked };
}

async function refuseUsed(data: string): Promise<void> {
  try {
    if ((await readdir(data)).length === 0) return;
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return;
    throw new Failure(`restore to '${data}'`, reasonOf(error), { cause: error });
  }
  throw new Failure(`restore to '${data}'`, "there is something in it", {
    hints: ["Restore to a directory that is not there, or empty: --data DIR"],
  });
}

function lockOf(unfinished: string, data: string): Disposable {
  const lock = tryLockFile(join(unfinished, "lock"));
  if (!lock) throw new Failure(`restore to '${data}'`, "another process restores to it");
  return lock;
}

async function write(path: string, content: AsyncIterable<Buffer>): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await using file = await open(path, "wx", 0o600);
  await file.writeFile(content);
}

/** Opens the database as a controller does, and looks for what it refers to. */
async function lookAt(directory: string, what: string, { head }: BackupContents) {
  const files = join(directory, "database");
  if (!existsSync(join(files, "PG_VERSION")))
    throw new Failure(`use the backup '${what}'`, "there is no database in it");
  await using database = await openEmbedded(files);
  const [version] = await database
    .query<{ version: number }>("select version from croft.schema_version")
    .catch(() => []);
  if (version?.version !== head.tables)
    throw new Failure(`use the backup '${what}'`, "its database is not what it says to be");
  await migrate(database);
  await database.query("update croft.sessions set restored = true where state in ('active', 'expired')");
  const [row] = await database.query<{ builds: number; last: number }>(
    "select count(*)::integer as builds, coalesce(max(id), 0)::integer as last from croft.builds",
  );
  const next = (Math.floor(row!.last / numbersLeftOut) + 2) * numbersLeftOut + 1;
  await database.query("select setval(pg_get_serial_sequence('croft.builds', 'id'), $1::integer, false)", [
    next,
  ]);
  const blobs = new DirectoryStorage(join(directory, "blobs"));
  const missing = head.storage === "directory" ? await countMissing(database, blobs) : 0;
  return { builds: row!.builds, missing };
}

async function countMissing(database: Database, blobs: DirectoryStorage): Promise<number> {
  let missing = 0;
  for (let from = ""; ;) {
    const page = await database.query<StoredAs & { used: boolean }>(
      `select digest, generation, (exists (select from croft.operations o where o.log_digest = b.digest)
         or exists (select from croft.artifacts a where a.digest = b.digest)) as used
       from croft.blobs b where digest > $1 order by digest limit ${lookedAtOnce}`,
      [from],
    );
    if (page.length === 0) return missing;
    missing += page.filter(({ used, ...blob }) => used && !existsSync(blobs.path(blobName(blob)))).length;
    from = page.at(-1)!.digest;
  }
}

async function putInPlace(unfinished: string, data: string): Promise<void> {
  try {
    await rmdir(data).catch((error: unknown) => {
      if (!isSystemError(error, "ENOENT")) throw error;
    });
    await rename(unfinished, data);
    await syncDirectory(dirname(data));
  } catch (error) {
    throw new Failure(`restore to '${data}'`, reasonOf(error), { cause: error });
  }
}
