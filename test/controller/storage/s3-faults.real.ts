/** What a service that speaks S3 can do to a controller: each request of it fails in each way, now and then or for good. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { describe, test } from "node:test";
import { StorageFailure } from "../../../controller/files/blob-storage.ts";
import { reachS3 } from "../../../controller/files/s3-service.ts";
import { S3Storage } from "../../../controller/files/s3-storage.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import {
  startFaultyProxy,
  type Asked,
  type Fault,
  type FaultyProxy,
} from "../../fixtures/services/faulty-proxy.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { startS3Double, type S3Double } from "../../fixtures/services/s3-double.ts";

const small = Buffer.from("a small one");
const large = randomBytes(270_000);
const passing: Fault[] = ["busy", "dropped", "unanswered", "cut", "stalled", "half"];

const digestOf = (content: Buffer) => createHash("sha256").update(content).digest("hex");

/** Requests as they are told from each other. */
function kindOf({ method, path }: Asked): string {
  const query = new URL(path, "http://double").searchParams;
  const upload = query.has("uploads")
    ? " begin"
    : query.has("partNumber")
      ? " part"
      : query.has("uploadId")
        ? " upload"
        : "";
  return method + upload;
}

interface Bucket extends AsyncDisposable {
  double: S3Double;
  proxy: FaultyProxy;
  storage: S3Storage;
  /** Stores a file of this content; its digest. */
  put(content: Buffer): Promise<string>;
}

/** A bucket behind a proxy that has no faults yet. */
async function openBucket(partBytes?: number): Promise<Bucket> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await temporaryDirectory("croft-test-faults-"));
  const double = stack.use(await startS3Double());
  const proxy = stack.use(await startFaultyProxy(double.endpoint));
  const place = {
    bucket: double.bucket,
    prefix: "",
    endpoint: proxy.url,
    accessKey: "key",
    secretKey: "secret",
  };
  const storage = new S3Storage(stack.use(await reachS3(place, { silentMs: 3000, attempts: 3 })), partBytes);
  const held = stack.move();
  return {
    ...{ double, proxy, storage },
    put: async (content) => {
      const digest = digestOf(content);
      await writeFile(join(path, digest), content);
      await storage.put(digest, join(path, digest));
      return digest;
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

// They wait most of the time.
describe("a service that fails", { timeout: patienceMs, concurrency: 8 }, () => {
  for (const fault of passing)
    test(`once, at each request (${fault}), is asked again: all is stored, and read, as it was`, async () => {
      await using bucket = await openBucket(100_000);
      const { double, proxy, storage, put } = bucket;
      const failed = new Set<string>();
      proxy.fault = (asked) => {
        const kind = kindOf(asked);
        if (failed.has(kind)) return undefined;
        failed.add(kind);
        return fault;
      };
      for (const content of [small, large]) {
        const digest = await put(content);
        assert.ok(content.equals(await buffer(storage.read(digest, 0, Infinity))));
        assert.ok(content.subarray(2, 9).equals(await buffer(storage.read(digest, 2, 9))));
      }
      const listed: string[] = [];
      for await (const some of storage.list()) listed.push(...some.map(({ digest }) => digest));
      assert.deepEqual(listed.sort(), [digestOf(small), digestOf(large)].sort());
      await storage.remove(digestOf(small));
      assert.deepEqual(
        [...double.objects.values()].map(({ content }) => content.length),
        [large.length],
      );
      await storage.clearAway(new Date(Date.now() + 1000));
      assert.equal(double.uploads.size, 0);
      const kinds = ["DELETE", "GET", "HEAD", "POST begin", "POST upload", "PUT", "PUT part"];
      for (const kind of kinds) assert.ok(failed.has(kind), kind);
    });

  test("for good refuses what is to be stored, says why, and has nothing half of it", async () => {
    await using bucket = await openBucket(100_000);
    const { double, proxy, put } = bucket;
    for (const fault of ["busy", "dropped", "stalled"] as const)
      for (const content of [small, large]) {
        const last = content === small ? "PUT" : "POST upload";
        proxy.fault = (asked) => (kindOf(asked) === last ? fault : undefined);
        await assert.rejects(put(content), (error: Error) => {
          assert.ok(error instanceof StorageFailure);
          assert.equal(error.statusCode, 503);
          assert.match(error.message, /^Cannot store [0-9a-f]{12} in 's3:\/\/farm': \S/);
          return true;
        });
        assert.equal(double.objects.size, 0);
        assert.equal(double.uploads.size, 0);
      }
  });

  test("loses an upload in parts: it is begun anew, three times in all", async () => {
    await using bucket = await openBucket(100_000);
    const { proxy, put } = bucket;
    let losses = 2;
    proxy.fault = (asked) => {
      if (kindOf(asked) !== "PUT part" || !asked.path.includes("partNumber=2") || losses === 0)
        return undefined;
      losses--;
      return "lost";
    };
    await put(large);
    assert.equal(losses, 0);
    losses = Infinity;
    await assert.rejects(put(large), /Cannot store .*: NoSuchUpload, status 404/);
  });
});

describe("a service that stands still", { timeout: patienceMs }, () => {
  test("what waits to be stored is not in memory, and not for ever", async () => {
    await using bucket = await openBucket();
    const { proxy, put } = bucket;
    proxy.fault = () => "stalled";
    const content = Buffer.alloc(8 << 20);
    const before = process.memoryUsage().arrayBuffers;
    const puts = Array.from({ length: 40 }, () => put(content));
    const ended = Promise.allSettled(puts);
    let most = 0;
    let isOver = false;
    void ended.then(() => (isOver = true));
    while (!isOver) {
      most = Math.max(most, process.memoryUsage().arrayBuffers - before);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.ok((await ended).every(({ status }) => status === "rejected"));
    assert.ok(most < 96 << 20, `${most >> 20} MiB`);
  });
});
