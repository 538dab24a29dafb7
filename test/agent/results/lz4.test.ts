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
  for (const content of [
    Buffer.alloc(0),
    Buffer.from("x"),
    Buffer.alloc(20 * MiB, "abc"),
    randomBytes(5 * MiB),
  ]) {
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
  const content = Buffer.alloc(64 * MiB, "a");
  const frame = await compressFrame(content);
  assert.ok(frame.length < 300 * 1024, `${frame.length}`);
  assert.equal((await decompressFrames(frame, 64 * MiB)).length, content.length);
  await assert.rejects(decompressFrames(frame, 64 * MiB - 1), /more than the 67108863 bytes allowed/);
  await assert.rejects(decompressFrames(Buffer.concat([frame, frame]), 100 * MiB), /allowed/);
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
