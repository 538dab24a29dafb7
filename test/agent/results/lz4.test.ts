import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { compressFrame } from "lz4-napi";
import { decompressFrames } from "../../../agent/results/lz4.ts";

const MiB = 1024 * 1024;

/** A frame of one stored block, as a guest without a compressor makes it; the header checksum is not looked at. */
function storedFrame(content: Buffer): Buffer {
  const header = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73]);
  const size = Buffer.alloc(4);
  size.writeUInt32LE((content.length | 0x80000000) >>> 0);
  return Buffer.concat([header, size, content, Buffer.alloc(4)]);
}

test("frames decompress to what was compressed, one or several", async () => {
  for (const content of [Buffer.alloc(0), Buffer.from("x"), Buffer.alloc(MiB, "abc"), randomBytes(MiB)]) {
    const frame = await compressFrame(content);
    assert.ok((await decompressFrames(frame, 64 * MiB)).equals(content));
    assert.ok(
      (await decompressFrames(Buffer.concat([frame, frame]), 64 * MiB)).equals(
        Buffer.concat([content, content]),
      ),
    );
  }
});

test("a frame of stored blocks needs no compressor", async () => {
  const content = Buffer.from("a: b\n".repeat(1000));
  assert.deepEqual(await decompressFrames(storedFrame(content), MiB), content);
});

test("the size is known, and the limit holds, before anything is decompressed", async () => {
  const content = Buffer.alloc(MiB, "a");
  const frame = await compressFrame(content);
  assert.ok(frame.length < 5 * 1024, `${frame.length}`);
  assert.equal((await decompressFrames(frame, MiB)).length, content.length);
  await assert.rejects(decompressFrames(frame, MiB - 1), /more than the 1048575 bytes allowed/);
  const two = Buffer.concat([frame, frame]);
  assert.equal((await decompressFrames(two, 2 * MiB)).length, 2 * content.length);
  await assert.rejects(decompressFrames(two, 2 * MiB - 1), /more than the 1048575 bytes allowed/);
  for (const length of [1, 14, 15, 16, 269, 270, 271, 5000]) {
    // Literals, and a match, of lengths around those that take one byte more.
    const text = Buffer.concat([randomBytes(length), Buffer.alloc(length + 40, "b"), randomBytes(7)]);
    const small = await compressFrame(text);
    assert.ok((await decompressFrames(small, text.length)).equals(text));
    await assert.rejects(decompressFrames(small, text.length - 1), /allowed/);
  }
});

/** The same text as lz4(1) writes it: with its options, and what else may be between frames. */
const written = {
  "no checksum": "BCJNGGBAghAAAABvaGVsbG8gBgAGUGVsbG8KAAAAAA==",
  "a checksum of the content": "BCJNGGRApxAAAABvaGVsbG8gBgAGUGVsbG8KAAAAAFPOmTY=",
  "checksums of blocks": "BCJNGHBArRAAAABvaGVsbG8gBgAGUGVsbG8KH3r4kgAAAAA=",
  "its size": "BCJNGGhAJAAAAAAAAADsEAAAAG9oZWxsbyAGAAZQZWxsbwoAAAAA",
  everything: "BCJNGHxAJAAAAAAAAAAhEAAAAG9oZWxsbyAGAAZQZWxsbwofeviSAAAAAFPOmTY=",
};
const hello = "hello hello hello hello hello hello\n";

for (const [what, base64] of Object.entries(written))
  test(`a frame with ${what} is read, and so is what follows it`, async () => {
    const frame = Buffer.from(base64, "base64");
    assert.equal((await decompressFrames(frame, hello.length)).toString(), hello);
    const note = Buffer.from("502a4d1803000000616263", "hex"); // a skippable frame of three bytes
    const several = Buffer.concat([note, frame, note, note, frame]);
    assert.equal((await decompressFrames(several, 2 * hello.length)).toString(), hello + hello);
    for (let end = 1; end < frame.length; end++)
      await assert.rejects(decompressFrames(frame.subarray(0, end), MiB), /^Failure: Cannot decompress/);
  });

test("frames of another version, or that need a dictionary, are refused", async () => {
  for (const [flags, reason] of [
    [0x20, /its version is unknown/],
    [0xa0, /its version is unknown/],
    [0x61, /it needs a dictionary/],
  ] as const) {
    const frame = storedFrame(Buffer.from("a: b\n"));
    frame[4] = flags;
    await assert.rejects(decompressFrames(frame, MiB), reason);
  }
});

test("what is no frame, or a broken one, is refused", async () => {
  const frame = await compressFrame(Buffer.from("hello hello hello hello hello"));
  for (const bad of [
    Buffer.alloc(0),
    Buffer.from("short"),
    Buffer.from("certainly no LZ4 frame"),
    frame.subarray(0, -5),
    frame.subarray(0, 12),
    Buffer.concat([frame, Buffer.from("trailing garbage")]),
    Buffer.concat([frame, Buffer.from("bit")]),
    Buffer.concat([frame, Buffer.from("502a4d1801", "hex")]),
  ])
    await assert.rejects(decompressFrames(bad, MiB), /^Failure: Cannot decompress the LZ4 frame/);
});

test("a frame with flipped bytes is refused or decompresses to something, and never more than allowed", async () => {
  const frame = await compressFrame(Buffer.from("the quick brown fox ".repeat(500)));
  for (let position = 0; position < frame.length; position++) {
    const bad = Buffer.from(frame);
    bad[position]! ^= 0x55;
    const size = await decompressFrames(bad, MiB).then(
      (content) => content.length,
      (error: Error) => (assert.match(error.message, /^Cannot decompress/), 0),
    );
    assert.ok(size <= MiB);
  }
});

test("a thousand frames are taken, and no more: each costs something, however little is in it", async () => {
  const empty = await compressFrame(Buffer.alloc(0));
  const frames = (count: number) => Buffer.concat(Array<Buffer>(count).fill(empty));
  assert.equal((await decompressFrames(frames(1000), 1000)).length, 0);
  await assert.rejects(decompressFrames(frames(1001), 1000), /more than 1000 of them/);
});
