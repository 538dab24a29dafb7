/** A bucket of a double of a service does what a directory does; of a real one it is a long part (s3.long.ts). */
import { reachS3 } from "../../../controller/files/s3-service.ts";
import { S3Storage } from "../../../controller/files/s3-storage.ts";
import { startS3Double } from "../../fixtures/services/s3-double.ts";
import { testStorage } from "./same.ts";

testStorage("s3 double", async (stack) => {
  const { endpoint, bucket } = stack.use(await startS3Double());
  const place = { bucket, prefix: "farm/", endpoint, accessKey: "key", secretKey: "secret" };
  return new S3Storage(stack.use(await reachS3(place)));
});
