/** What each kind of storage does. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import type { BlobStorage } from "../../../controller/files/blob-storage.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { patienceMs } from "../../fixtures/patience.ts";

/** @param open the storage; `path` has a directory `blobs`. */
export function testStorage(
  kind: string,
  open: (stack: AsyncDisposableStack, path: string) => Promise<BlobStorage>,
  skip: string | false = false,
): void {
  describe(`storage (${kind})`, { skip, timeout: patienceMs }, () => {
    const stack = new AsyncDisposableStack();
    let path: string;
    let storage: BlobStorage;
    before(async () => {
      ({ path } = stack.use(await temporaryDirectory("croft-test-storage-")));
      await mkdir(join(path, "blobs"));
      storage = await open(stack, path);
    });
    after(() => stack.disposeAsync());

    async function store(content: Buffer): Promise<string> {
      const digest = createHash("sha256").update(content).digest("hex");
      await writeFile(join(path, "file"), content);
      await storage.put(digest, join(path, "file"));
      return digest;
    }

    test("gives back what was put there, whole and in parts, empty and large, and lists it until it is removed", async () => {
      const contents = [Buffer.alloc(0), Buffer.from("a small one"), randomBytes(17 << 20)];
      const sizes = new Map<string, number>();
      for (const content of contents) {
        const digest = await store(content);
        sizes.set(digest, content.length);
        assert.equal(await store(content), digest, "again");
        assert.deepEqual(await buffer(storage.read(digest, 0, Infinity)), content);
        if (content.length > 0)
          assert.deepEqual(await buffer(storage.read(digest, 3, 9)), content.subarray(3, 9));
        assert.equal((await buffer(storage.read(digest, content.length, Infinity))).length, 0);
      }
      const listed = async () => {
        const found = new Map<string, number>();
        for await (const some of storage.list())
          for (const { digest, bytes } of some) found.set(digest, bytes);
        return found;
      };
      await storage.clearAway(new Date());
      assert.deepEqual([...(await listed())].sort(), [...sizes].sort());
      const [first] = [...sizes.keys()];
      await storage.remove(first!);
      await storage.remove(first!);
      await assert.rejects(buffer(storage.read(first!, 0, Infinity)));
      assert.equal((await listed()).size, 2);
    });

    test("keeps a mark, which is no blob", async () => {
      assert.equal(await storage.readMark(), undefined);
      await storage.mark("one");
      assert.equal(await storage.readMark(), "one");
      for await (const some of storage.list()) assert.ok(some.every(({ digest }) => digest.length === 64));
    });
  });
}
