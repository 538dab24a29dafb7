/** A bucket of a real service (OpenStack Swift) does what a directory does */
import assert from "node:assert/strict";
import type { BlobStorage } from "../../../controller/files/blob-storage.ts";
import { checkBucket, reachS3 } from "../../../controller/files/s3-service.ts";
import { S3Storage } from "../../../controller/files/s3-storage.ts";
import { noSwift, startSwift } from "../../fixtures/swift.ts";
import { testStorage } from "./same.ts";

testStorage("s3", openBucket, noSwift);

async function openBucket(stack: AsyncDisposableStack): Promise<BlobStorage> {
  const { endpoint, bucket, accessKey, secretKey } = stack.use(await startSwift());
  const place = { bucket, prefix: "farm/", endpoint, accessKey, secretKey };
  const service = stack.use(await reachS3(place));
  await checkBucket(service);
  const wrong = stack.use(await reachS3({ ...place, bucket: "none" }));
  await assert.rejects(
    checkBucket(wrong),
    /Cannot use the storage 's3:\/\/none\/farm': there is no such bucket/,
  );
  return new S3Storage(service);
}
