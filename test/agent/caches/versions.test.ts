/** Versions of caches: whole ones at any moment, for those that they belong to, and no more room than they may take. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { cachePath, ownerOf } from "../../../agent/caches/layout.ts";
import { promote, prune, versionsIn } from "../../../agent/caches/versions.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { imageOf } from "./images.ts";

const repository = "https://example.org/hello.git";
const owner = ownerOf({ name: "hello", repositoryUrl: repository }, false);

async function made(directory: string, name: string, version = 1): Promise<string> {
  const clone = join(directory, "clone.img");
  writeFileSync(clone, imageOf(version));
  await promote(directory, name, owner, clone);
  assert.equal(existsSync(clone), false);
  return cachePath(directory, name, owner);
}

test("whoever is killed while a version is replaced leaves a whole one", async () => {
  await using directory = await temporaryDirectory("croft-test-caches-");
  const image = join(cachePath(directory.path, "things", owner), "image");
  const seen = new Set<number>();
  for (let kill = 0; kill < 5; kill++) {
    const child = spawn(process.execPath, [join(import.meta.dirname, "promoter.ts"), directory.path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    for (let version = 0; version < 2; version++) await once(child.stdout, "data");
    await delay(Math.random() * 50);
    child.kill("SIGKILL");
    await once(child, "exit");
    const found = readFileSync(image);
    assert.ok(found.equals(imageOf(found[0]!)), `${found.length} bytes`);
    seen.add(found[0]!);
  }
  assert.equal((await versionsIn(directory.path)).length, 1);
  assert.ok(seen.size > 1, "versions follow one another");
});

test("a clone that was not unmounted does not become a version", async () => {
  await using directory = await temporaryDirectory("croft-test-caches-");
  await made(directory.path, "things", 1);
  const clone = join(directory.path, "clone.img");
  const image = imageOf(2);
  image.writeUInt16LE(0, 1024 + 0x3a);
  writeFileSync(clone, image);
  await assert.rejects(promote(directory.path, "things", owner, clone), /has not unmounted it/);
  const [version] = await versionsIn(directory.path);
  assert.equal(readFileSync(join(version!.path, "image"))[0], 1);
});

test("another repository, another package of it, and builds with secrets have caches of their own; another branch has not", () => {
  const path = (name: string, repositoryUrl: string, isSecret = false) =>
    cachePath("/c", "things", ownerOf({ name, repositoryUrl }, isSecret));
  const mine = path("hello", repository);
  assert.equal(path("hello", `${repository}#main@1234`), mine);
  const others = [
    path("hello", "https://example.org/other.git"),
    path("hello", "https://me:word@example.org/hello.git"),
    path("other", repository),
    path("hello", repository, true),
  ];
  assert.equal(new Set([mine, ...others]).size, 5);
  assert.match(path("../../etc", repository), /^\/c\/things\/[A-Za-z_]+-[0-9a-f]{32}$/);
});

test("those that were used the longest ago go first, and what a killed one left of it", async () => {
  await using directory = await temporaryDirectory("croft-test-caches-");
  for (const [index, name] of ["old", "new", "middle"].entries()) {
    const path = await made(directory.path, name);
    const used = new Date(2020, [1, 12, 6][index]!);
    utimesSync(join(path, "about.json"), used, used);
  }
  await mkdir(join(directory.path, "new", ".x.removed"));
  const { bytes } = (await versionsIn(directory.path))[0]!;
  const removed = await prune(directory.path, (version, others) => others + version.bytes <= 2 * bytes);
  assert.deepEqual(
    removed.map(({ cache }) => cache),
    ["old"],
  );
  assert.deepEqual(
    (await versionsIn(directory.path)).map(({ cache }) => cache),
    ["new", "middle"],
  );
  assert.equal(readdirSync(join(directory.path, "new")).length, 1);
});
