/**
 * Which storage a controller uses, and whether it is that of its database. Controllers that share a database but not the
 * storage would refer to what the others cannot read. So the first one gives its storage a mark, notes it in the database,
 * and each that starts compares.
 */
import { randomUUID } from "node:crypto";
import { Failure } from "../../os/failure.ts";
import type { Database } from "../database/database.ts";
import type { BlobStorage } from "./blob-storage.ts";
import type { DataDirectory } from "./data-directory.ts";
import { DirectoryStorage } from "./directory-storage.ts";
import { checkBucket, reachS3, s3Name, type S3Place } from "./s3-service.ts";
import { S3Storage } from "./s3-storage.ts";

/** Where blobs are stored, and what people call it; `directory`: below the data directory. */
export type StoragePlace = "directory" | S3Place;

/** A storage in use. */
export interface OpenStorage extends Disposable {
  readonly storage: BlobStorage;
}

/**
 * Opens the storage.
 *
 * @param isShared whether other controllers may use the same database.
 * @throws {Failure} if it cannot be used, or is another one than the database was used with.
 */
export async function openStorage(
  place: StoragePlace,
  directory: Pick<DataDirectory, "blobs">,
  database: Database,
  isShared: boolean,
): Promise<OpenStorage> {
  using stack = new DisposableStack();
  let storage: BlobStorage;
  if (place === "directory") storage = new DirectoryStorage(directory.blobs);
  else {
    const service = stack.use(await reachS3(place));
    await checkBucket(service);
    storage = new S3Storage(service);
  }
  // Database and blobs in one data directory belong together as they are.
  if (isShared || place !== "directory")
    await compareMarks(storage, place === "directory" ? directory.blobs : s3Name(place), database);
  const held = stack.move();
  return { storage, [Symbol.dispose]: () => held.dispose() };
}

/** Those that start at once come one after the other, by the row. */
async function compareMarks(storage: BlobStorage, name: string, database: Database): Promise<void> {
  // Before, so that a mark that was given is known, whatever happens then
  await database.query("insert into croft.storage (mark) values ($1) on conflict do nothing", [randomUUID()]);
  await database.transaction(async (sql) => {
    const [known] = await sql.query<{ mark: string; is_used: boolean }>(
      "select mark, is_used from croft.storage for update",
    );
    const { mark, is_used: isUsed } = known!;
    const found = await storage.readMark();
    if (found !== mark && (isUsed || found !== undefined))
      throw new Failure(
        `use the storage '${name}'`,
        found === undefined
          ? "the controllers of this database have another one"
          : "it belongs to the controllers of another database",
        {
          hints: [
            "All controllers of a database share one storage: a bucket (storage: s3://BUCKET), or 'blobs' in a data directory on a file system that they share.",
            `To move what is stored, copy all of it, the file 'storage-id' as well, before the controller starts.`,
          ],
        },
      );
    if (found !== mark) await storage.mark(mark);
    if (!isUsed) await sql.query("update croft.storage set is_used = true");
  });
}
