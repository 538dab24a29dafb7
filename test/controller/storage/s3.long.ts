/** A bucket of a real service (OpenStack Swift) does what a directory does */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import type { BlobStorage } from "../../../controller/files/blob-storage.ts";
import { checkBucket, reachS3 } from "../../../controller/files/s3-service.ts";
import { S3Storage } from "../../../controller/files/s3-storage.ts";
import { packageFile } from "../../../os/files/package.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { isRunning } from "../../fixtures/processes.ts";
import { noSwift, startSwift } from "../../fixtures/services/swift.ts";
import { noPostgres } from "../database/postgres.ts";
import { until } from "../until.ts";
import { testStorage } from "./same.ts";

testStorage("s3", openBucket, noSwift);

test(
  "the service, and a database server, end with the test that started them, also when that is killed",
  {
    skip: noSwift || noPostgres,
    timeout: patienceMs,
  },
  async () => {
    const started = `
    const { startSwift } = await import(${JSON.stringify(packageFile("test", "fixtures", "services", "swift.ts"))});
    const { startPostgres } = await import(${JSON.stringify(packageFile("test", "controller", "database", "postgres.ts"))});
    await startSwift();
    await startPostgres();
    console.log("up");
    setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", started], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    const children = childrenOf(child.pid!);
    assert.ok(children.length >= 6, `${children.length} processes`);
    child.kill("SIGKILL");
    await until(async () => !children.some(isRunning), "the end of all of them");
  },
);

function childrenOf(parent: number): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    try {
      return new RegExp(`\\) \\S ${parent} `).test(readFileSync(`/proc/${pid}/stat`, "utf8"));
    } catch {
      return false; // it has ended
    }
  });
}

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
