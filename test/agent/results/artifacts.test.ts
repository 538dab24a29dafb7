import assert from "node:assert/strict";
import fs, { existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { Header, Pax } from "tar";
import { extractArtifacts } from "../../../agent/results/artifacts.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

interface Entry {
  path: string;
  type?:
    | "File"
    | "OldFile"
    | "ContiguousFile"
    | "Directory"
    | "SymbolicLink"
    | "Link"
    | "CharacterDevice"
    | "FIFO";
  content?: string;
  linkpath?: string;
}

/** An archive with exactly these entries, whatever a well-behaved tar would say to them. */
function archive(entries: readonly Entry[]): Buffer {
  const blocks: Buffer[] = [];
  for (const { path, type = "File", content = "", linkpath = "" } of entries) {
    const block = Buffer.alloc(512);
    new Header({
      path,
      type,
      linkpath,
      size: Buffer.byteLength(content),
      mode: 0o4777,
      uid: 0,
      gid: 0,
      mtime: new Date(0),
    }).encode(block, 0);
    const body = Buffer.alloc(Math.ceil(Buffer.byteLength(content) / 512) * 512);
    body.write(content);
    blocks.push(block, body);
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

async function extract(data: Buffer, maxBytes = 1_000_000) {
  const directory = await temporaryDirectory("croft-test-");
  const file = join(directory.path, "upload.tar");
  writeFileSync(file, data);
  const target = join(directory.path, "uploads");
  return { directory, target, done: extractArtifacts(file, target, maxBytes) };
}

const good: Entry = { path: "upload/artifact/good", content: "x" };

test("files under upload/<type>/ are taken, others are left", async () => {
  const { directory, target, done } = await extract(
    archive([
      { path: "./", type: "Directory" },
      { path: ".", type: "Directory" },
      { path: "upload/", type: "Directory" },
      { path: "./upload/artifact/", type: "Directory" },
      { path: "./upload/artifact/a.tar.gz", content: "AAA" },
      { path: "upload/artifact/deep/b", content: "B" },
      { path: "upload/package/c", type: "ContiguousFile", content: "C" },
      { path: "upload/package/old", type: "OldFile", content: "O" },
      { path: "elsewhere/d", content: "D" },
    ]),
  );
  await using _ = directory;
  await done;
  assert.deepEqual(readdirSync(target).sort(), ["artifact", "package"]);
  assert.deepEqual(readdirSync(join(target, "artifact")).sort(), ["a.tar.gz", "deep-b"]);
  assert.equal(readFileSync(join(target, "artifact", "a.tar.gz"), "utf8"), "AAA");
  assert.equal(readFileSync(join(target, "package", "c"), "utf8"), "C");
  assert.equal(readFileSync(join(target, "package", "old"), "utf8"), "O");
});

test("what an earlier attempt has left is replaced", async () => {
  const { directory, target, done } = await extract(archive([good, { ...good, path: "upload/package/c" }]));
  await using _ = directory;
  await done;
  fs.mkdirSync(`${target}.new/other`, { recursive: true });
  const again = join(directory.path, "again.tar");
  writeFileSync(again, archive([{ ...good, content: "new" }]));
  await extractArtifacts(again, target, 3);
  assert.deepEqual(readdirSync(target), ["artifact"]);
  assert.equal(readFileSync(join(target, "artifact", "good"), "utf8"), "new");
});

test("an archive may have as much as is allowed, in bytes and entries, and no more", async () => {
  const data = archive([good, { ...good, path: "upload/artifact/other", content: "yy" }]);
  for (const [maxBytes, isTaken] of [
    [3, true],
    [2, false],
  ] as const) {
    const { directory, done } = await extract(data, maxBytes);
    await using _ = directory;
    if (isTaken) await done;
    else await assert.rejects(done, /its content exceeds 2 bytes/);
  }
  const block = archive([{ path: "upload/x/", type: "Directory" }]).subarray(0, 512);
  const { directory, done } = await extract(Buffer.alloc(10_001 * 512, block));
  await using _ = directory;
  await assert.rejects(done, /more than 10000 entries/);
});

test("a compressed archive that looks like a plain one is refused, too", async () => {
  const tar = archive([good]);
  const gzip = gzipSync(tar);
  // A field for notes in gzip's header, with what a tar archive has at this place (RFC 1952, 2.3).
  const notes = Buffer.alloc(300);
  notes.write("ustar", 257 - 12);
  const header = Buffer.from([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 300 % 256, 300 >> 8]);
  const zstd = Buffer.from(tar);
  zstd.writeUInt32BE(0x28b52ffd);
  for (const data of [Buffer.concat([header, notes, gzip.subarray(10)]), zstd]) {
    const { directory, done } = await extract(data);
    await using _ = directory;
    await assert.rejects(done, /no uncompressed POSIX tar archive/);
  }
});

for (const [what, code, break_] of [
  ["of which the disk has taken only a part", "ENOSPC", (path: string) => truncateSync(path, 1)],
  ["that the disk does not take", "EIO", undefined],
] as const)
  test(`a file ${what} is a fault of the farm, and nothing is left of the artifacts`, async (t) => {
    const open = fs.promises.open.bind(fs.promises);
    t.mock.method(fs.promises, "open", async (path: string, flags?: string) => {
      if (!path.includes(".new/artifact/")) return open(path, flags);
      break_?.(path);
      const file = await open(path, flags);
      const error = Object.assign(new Error("i/o error"), { code: "EIO" });
      if (!break_) t.mock.method(file, "sync", () => Promise.reject(error));
      return file;
    });
    syncBuiltinESMExports();
    try {
      const { directory, target, done } = await extract(archive([{ ...good, content: "four" }]));
      await using _ = directory;
      await assert.rejects(done, (error: Error) => (error.cause as NodeJS.ErrnoException).code === code);
      assert.equal(existsSync(target), false);
    } finally {
      t.mock.restoreAll();
      syncBuiltinESMExports();
    }
  });

for (const [what, entry, reason] of [
  ["..", { path: "upload/artifact/../../../escape", content: "x" }, /leaves the upload directory/],
  ["an absolute path", { path: "/tmp/croft-test-escape", content: "x" }, /leaves the upload directory/],
  [
    "a symbolic link",
    { path: "upload/artifact/link", type: "SymbolicLink", linkpath: "/etc/passwd" },
    /is a SymbolicLink/,
  ],
  ["a hard link", { path: "upload/artifact/link", type: "Link", linkpath: "../../x" }, /is a Link/],
  ["a device", { path: "upload/artifact/null", type: "CharacterDevice" }, /is a CharacterDevice/],
  ["a pipe", { path: "upload/artifact/pipe", type: "FIFO" }, /is a FIFO/],
  ["a backslash", { path: "upload/artifact/a\\b", content: "x" }, /leaves the upload directory/],
  ["an odd type", { path: "upload/a b/x", content: "x" }, /is no artifact type/],
  ["the same name twice", good, /two entries become/],
] as [string, Entry, RegExp][])
  test(`an archive with ${what} is refused as a whole`, async () => {
    const { directory, target, done } = await extract(archive([good, entry]));
    await using _ = directory;
    await assert.rejects(
      done,
      (error: Error) => reason.test(error.message) && /^Cannot extract 'upload.tar': /.test(error.message),
    );
    assert.deepEqual(readdirSync(directory.path), ["upload.tar"]);
    assert.equal(existsSync(target), false);
    assert.equal(existsSync("/tmp/croft-test-escape"), false);
  });

test("an archive larger than allowed, or compressed, is refused before anything is written", async () => {
  const data = archive([{ path: "upload/artifact/big", content: "y".repeat(200_000) }]);
  for (const form of [data, gzipSync(data)]) {
    const { directory, target, done } = await extract(form, 100_000);
    await using _ = directory;
    await assert.rejects(done, form === data ? /exceeds 100000 bytes/ : /no uncompressed POSIX tar archive/);
    assert.equal(existsSync(target), false);
  }
});

test("a truncated archive, and one that is none, are refused", async () => {
  for (const data of [
    archive([{ path: "upload/artifact/a", content: "z".repeat(5000) }]).subarray(0, 2000),
    Buffer.from("no archive at all".repeat(100)),
  ]) {
    const { directory, target, done } = await extract(data);
    await using _ = directory;
    await assert.rejects(done, /^Failure: Cannot extract 'upload.tar': /);
    assert.equal(existsSync(target), false);
  }
});

test("a directory does not take the place of a file of its name", async () => {
  const { directory, target, done } = await extract(
    archive([good, { ...good, content: "", type: "Directory" }]),
  );
  await using _ = directory;
  await done;
  assert.equal(readFileSync(join(target, "artifact", "good"), "utf8"), "x");
});

test("sizes that headers claim in contradiction do not make a file look truncated", async () => {
  const claim = new Pax({ size: 7 }, true).encode();
  const own = new Pax({ size: 1 }).encode();
  const { directory, target, done } = await extract(Buffer.concat([claim, own, archive([good])]));
  await using _ = directory;
  await done;
  assert.equal(readFileSync(join(target, "artifact", "good"), "utf8"), "x");
});

test("owner and mode of the guest mean nothing", async () => {
  const { directory, target, done } = await extract(archive([good]));
  await using _ = directory;
  await done;
  assert.equal(statSync(join(target, "artifact", "good")).mode & 0o7777, 0o600);
});
