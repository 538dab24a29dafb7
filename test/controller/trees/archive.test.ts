/** What is no archive of a working tree: everything that would land elsewhere when it is unpacked, or is too much. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { Header } from "tar";
import { checkedArchive, TreeFailure } from "../../../controller/trees/archive.ts";

type Entry = [path: string, more?: { type?: string; linkpath?: string; size?: number; content?: string }];

/** An archive, of which nothing is checked. */
function tar(...entries: Entry[]): Buffer {
  const blocks = entries.flatMap(([path, { type = "File", linkpath, size, content = "" } = {}]) => {
    const block = Buffer.alloc(512);
    const bytes = Buffer.from(content);
    const header = new Header({ path, type: type as "File", mode: 0o644, size: size ?? bytes.length });
    if (linkpath !== undefined) header.linkpath = linkpath;
    header.encode(block);
    return [block, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

async function check(archive: Buffer, pieceBytes = 100): Promise<Buffer> {
  const passed: Buffer[] = [];
  async function* pieces() {
    for (let at = 0; at < archive.length; at += pieceBytes) yield archive.subarray(at, at + pieceBytes);
  }
  for await (const piece of checkedArchive(pieces())) passed.push(piece);
  return Buffer.concat(passed);
}

test("an archive is passed on as it is, with links that lead anywhere", async () => {
  const archive = gzipSync(
    tar(
      ["./Makefile", { content: "all:\n" }],
      ["src/", { type: "Directory" }],
      ["src/..names..", { content: "a" }],
      ["src/link", { type: "SymbolicLink", linkpath: "/etc/passwd" }],
      ["src/same", { type: "Link", linkpath: "./Makefile" }],
    ),
  );
  assert.deepEqual(await check(archive), archive);
  assert.deepEqual(await check(archive, archive.length), archive);
});

const wrong: [what: string, archive: Buffer, reason: RegExp, status?: number][] = [
  ["a path upwards", gzipSync(tar(["a"], ["src/../../x"])), /'src\/\.\.\/\.\.\/x' in it leads out/],
  ["an absolute path", gzipSync(tar(["/etc/passwd"])), /'\/etc\/passwd' in it leads out/],
  [
    "a file behind a link",
    gzipSync(tar(["d", { type: "SymbolicLink", linkpath: "/etc" }], ["./d//passwd"])),
    /lies behind a symbolic link/,
  ],
  [
    "a hard link to what is elsewhere",
    gzipSync(tar(["a", { type: "Link", linkpath: "../../etc/shadow" }])),
    /'\.\.\/\.\.\/etc\/shadow' in it leads out/,
  ],
  [
    "a hard link behind a link",
    gzipSync(
      tar(["d", { type: "SymbolicLink", linkpath: "/" }], ["a", { type: "Link", linkpath: "d/etc/shadow" }]),
    ),
    /lies behind a symbolic link/,
  ],
  ["a device", gzipSync(tar(["sda", { type: "BlockDevice" }])), /'sda' in it is no file, directory or link/],
  ["a FIFO", gzipSync(tar(["pipe", { type: "FIFO" }])), /'pipe' in it is no file/],
  ["nothing", gzipSync(tar()), /it is no archive/],
  ["no bytes at all", Buffer.alloc(0), /it is no archive/],
  ["one that is not compressed", tar(["a"]), /no archive that gzip has compressed/],
  ["noise", gzipSync(Buffer.from("no archive at all".repeat(100))), /it is no archive/],
  ["half of one", gzipSync(tar(["a", { content: "x".repeat(9999) }])).subarray(0, 60), /it is no archive/],
  ["more than a disk has", gzipSync(tar(["a", { size: 3 * 2 ** 30 }])), /more than 2\.0 GiB in it/, 413],
];
for (const [what, archive, reason, status = 400] of wrong)
  test(`refused: ${what}`, async () => {
    for (const pieceBytes of [1, 100, 1 << 20])
      await assert.rejects(check(archive, pieceBytes), (error) => {
        assert.ok(error instanceof TreeFailure, String(error));
        assert.match(error.message, reason);
        assert.equal(error.status, status);
        return true;
      });
  });
