/** Moving to a database server brings logs and artifacts to a bucket of a real service (OpenStack Swift), if one is configured */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { moveBlobs } from "../../../controller/backup/move-blobs.ts";
import type { Sql } from "../../../controller/database/database.ts";
import { DirectoryStorage } from "../../../controller/files/directory-storage.ts";
import { reachS3 } from "../../../controller/files/s3-service.ts";
import { S3Storage } from "../../../controller/files/s3-storage.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { noSwift, startSwift } from "../../fixtures/services/swift.ts";

/** A database that knows its storage by a mark, or none. */
function knowing(...marks: string[]): Sql {
  const rows: unknown[] = marks.map((mark) => ({ mark }));
  return { query: async <Row>() => rows as Row[] };
}

describe("what is stored in a data directory", { skip: noSwift, timeout: patienceMs }, () => {
  test("is brought to a bucket, also a second time, but to none of another farm", async () => {
    await using swift = await startSwift();
    await using directory = await temporaryDirectory("croft-test-bucket-");
    const { endpoint, bucket, accessKey, secretKey } = swift;
    const place = { bucket, prefix: "farm/", endpoint, accessKey, secretKey };
    const blobs = new DirectoryStorage(directory.path);
    const digests: string[] = [];
    for (const text of ["a log", "an artifact"]) {
      const file = join(directory.path, "incoming");
      await writeFile(file, text);
      digests.push(createHash("sha256").update(text).digest("hex"));
      await blobs.put(digests.at(-1)!, file);
    }
    const move = (sql: Sql) => moveBlobs(sql, { blobs: directory.path }, place);
    assert.equal(await move(knowing()), 2);
    assert.equal(await move(knowing()), 2);
    using service = await reachS3(place);
    const storage = new S3Storage(service);
    const found: string[] = [];
    for await (const stored of storage.list()) found.push(...stored.map(({ digest }) => digest));
    assert.deepEqual(found.sort(), digests.sort());
    await storage.mark("farm-1");
    assert.equal(await move(knowing("farm-1")), 0, "they are there already");
    await assert.rejects(move(knowing("farm-2")), /it belongs to the controllers of another database/);
    await assert.rejects(move(knowing()), /it belongs to the controllers of another database/);
  });
});
