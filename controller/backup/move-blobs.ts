/** Brings what is stored in a data directory to a bucket. */
import { Failure } from "../../os/failure.ts";
import type { Sql } from "../database/database.ts";
import type { DataDirectory } from "../files/data-directory.ts";
import { blobName } from "../files/blob-storage.ts";
import { DirectoryStorage } from "../files/directory-storage.ts";
import { checkBucket, reachS3, s3Name, type S3Place } from "../files/s3-service.ts";
import { S3Storage } from "../files/s3-storage.ts";

/**
 * Stores all blobs of the data directory; they stay there, too. Done again, it stores them again, which does no harm.
 *
 * @returns how many.
 * @throws {Failure} if the bucket is that of other controllers.
 */
export async function moveBlobs(
  database: Sql,
  { blobs }: Pick<DataDirectory, "blobs">,
  place: S3Place,
): Promise<number> {
  using service = await reachS3(place);
  await checkBucket(service);
  const bucket = new S3Storage(service);
  const [known] = await database.query<{ mark: string }>("select mark from croft.storage");
  const found = await bucket.readMark();
  if (found !== undefined && found !== known?.mark)
    throw new Failure(
      `move to the storage '${s3Name(place)}'`,
      "it belongs to the controllers of another database",
    );
  if (found !== undefined) return 0; // these blobs have been there all the time
  const directory = new DirectoryStorage(blobs);
  let count = 0;
  for await (const stored of directory.list())
    for (const name of stored.map(blobName)) {
      await bucket.put(name, directory.path(name));
      count++;
    }
  return count;
}
