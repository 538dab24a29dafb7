/** A boss's results that are `done`, and a controller's blobs that have a name, after a power cut at whatever moment. */
import { forEachRemains, record } from "./recorder.ts"; // first: it watches what the others load
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ResultStore } from "../../boss/results/store.ts";
import { BlobStore } from "../../controller/files/blobs.ts";
import { DirectoryStorage } from "../../controller/files/directory-storage.ts";
import { openDataDirectory } from "../../controller/files/data-directory.ts";
import { silentLog } from "../../os/log.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";

const target = { name: "t", arch: "sandbox" };
const commits = [{ hash: "a".repeat(40), subject: "One" }];
const good = { returnCode: 0, stderr: "", stdout: "CC main.o\n", sizes: "1\t2\n", host: "alpha" };
const bad = {
  returnCode: 2,
  stderr: "error: no\n",
  stdout: "CC\n",
  host: "beta",
  config: { ".config": "A=1\n" },
};

test("a result that is done has all of its files, and one that was told is done", async () => {
  await using directory = await temporaryDirectory("croft-test-store-");
  const output = join(directory.path, "output");
  const recording = await record(directory.path, async (tell) => {
    const store = new ResultStore(output, commits);
    store.write(target, 0, good);
    await store.settle();
    tell("good");
    await store.forget([[target, 0]]);
    tell("forgotten");
    store.write(target, 0, bad);
    await store.settle();
    tell("bad");
    store.write(target, 0, good);
    await store.settle();
    tell("again");
  });
  const count = await forEachRemains(recording, async (path, told) => {
    const store = new ResultStore(join(path, "output"), commits);
    const code = store.returnCodeOf(target, 0);
    const read = (name: string) => {
      const file = join(store.pathOf(target, 0), name);
      return existsSync(file) ? readFileSync(file, "utf8") : undefined;
    };
    if (code !== undefined) {
      const { stderr, stdout, sizes, host, config } =
        code === 0 ? { config: undefined, ...good } : { sizes: undefined, ...bad };
      const found = ["err", "log", "sizes", "host", ".config"].map(read);
      assert.deepEqual(found, [stderr || undefined, stdout, sizes, `${host}\n`, config?.[".config"]]);
    }
    if (told.has("again")) assert.equal(code, 0);
    else if (told.has("forgotten") && !told.has("bad")) assert.notEqual(code, 0);
    else if (told.has("good") && !told.has("bad")) assert.ok(code === 0 || code === undefined);
  });
  assert.ok(count > 50, `${count} states`);
});

test("results that a boss has told are there after a power cut, as long as nobody builds them again", async () => {
  await using directory = await temporaryDirectory("croft-test-store-");
  const recording = await record(directory.path, async (tell) => {
    const store = new ResultStore(join(directory.path, "output"), commits);
    store.write(target, 0, good);
    await store.settle();
    tell("done");
  });
  await forEachRemains(recording, async (path, told) => {
    if (!told.has("done")) return;
    assert.equal(new ResultStore(join(path, "output"), commits).returnCodeOf(target, 0), 0);
  });
});

const noDatabase = { query: () => Promise.resolve([]) };

test("a blob that has its name is whole, and one that was kept has its name", async () => {
  await using temporary = await temporaryDirectory("croft-test-blobs-");
  const contents = ["log of a build\n".repeat(50), "an artifact\n".repeat(80)].map((text) =>
    Buffer.from(text),
  );
  const recording = await record(temporary.path, async (tell) => {
    await using data = await openDataDirectory(join(temporary.path, "data"), false, silentLog());
    const blobs = new BlobStore(data, new DirectoryStorage(data.blobs), noDatabase);
    for (const content of [contents[0]!, contents[0]!, contents[1]!])
      tell((await blobs.store(content)).digest);
  });
  await forEachRemains(recording, async (path, told) => {
    await using data = await openDataDirectory(join(path, "data"), false, silentLog());
    const names = readdirSync(data.blobs, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    const digests = names.map(({ name, parentPath }) => {
      const digest = createHash("sha256")
        .update(readFileSync(join(parentPath, name)))
        .digest("hex");
      assert.equal(new DirectoryStorage(data.blobs).path(digest), join(parentPath, name));
      return digest;
    });
    for (const digest of told) assert.ok(digests.includes(digest));
  });
});
