import assert from "node:assert/strict";
import { test } from "node:test";
import { readDiskTable, tableBytes } from "../../../machines/import/partition-table.ts";
import { readQcow2Header } from "../../../machines/import/qcow2-header.ts";

const GiB = 1024 ** 3;
const fileBytes = 1024 * 1024;

/** The header of an image of 1 GiB with clusters of 64 KiB, as qemu-img makes it; changed as told. */
function header(change: (header: Buffer) => void = () => {}): Buffer {
  const made = Buffer.alloc(64 * 1024);
  made.write("QFI\xfb", 0, "latin1");
  made.writeUInt32BE(3, 4);
  made.writeUInt32BE(16, 20);
  made.writeBigUInt64BE(BigInt(GiB), 24);
  made.writeUInt32BE(2, 36);
  made.writeBigUInt64BE(0x30000n, 40);
  made.writeBigUInt64BE(0x10000n, 48);
  made.writeUInt32BE(1, 56);
  made.writeUInt32BE(4, 96);
  made.writeUInt32BE(104, 100);
  change(made);
  return made;
}

/** Puts an extension behind the header. */
function extend(made: Buffer, type: number, content: string, length = content.length): void {
  made.writeUInt32BE(type, 104);
  made.writeUInt32BE(length, 108);
  made.write(content, 112, "latin1");
}

const read = (made: Buffer, bytes = fileBytes, maxBytes = 32 * GiB) => readQcow2Header(made, bytes, maxBytes);

test("the header of a plain image tells the size of its disk, in both versions", () => {
  assert.deepEqual(read(header()), { virtualBytes: GiB });
  const second = header((made) => {
    made.writeUInt32BE(2, 4);
    made.writeBigUInt64BE(0xffffn, 72); // which in this version is no part of it
    made.fill(0, 72, 104);
  });
  assert.deepEqual(read(second), { virtualBytes: GiB });
  for (const usable of [1n, 8n, 16n]) {
    const made = header((one) => one.writeBigUInt64BE(usable, 72));
    assert.deepEqual(read(made), { virtualBytes: GiB }, `feature ${usable}`);
  }
  const feature = header((made) => extend(made, 0x6803f857, "names of features"));
  assert.deepEqual(read(feature), { virtualBytes: GiB });
});

const refusals: [string, RegExp, (header: Buffer) => void][] = [
  ["no qcow2", /is no qcow2 image/, (made) => made.write("KDMV", 0)],
  ["another version", /of version 4/, (made) => made.writeUInt32BE(4, 4)],
  [
    "a backing file",
    /has a backing file/,
    (made) => {
      made.writeBigUInt64BE(512n, 8);
      made.writeUInt32BE(11, 16);
      made.write("/etc/shadow", 512);
    },
  ],
  [
    "a backing file named by options",
    /has a backing file/,
    (made) => {
      const name = 'json:{"driver":"raw","file":{"driver":"file","filename":"/etc/shadow"}}';
      made.writeBigUInt64BE(512n, 8);
      made.writeUInt32BE(name.length, 16);
      made.write(name, 512);
    },
  ],
  ["a backing file without a length", /has a backing file/, (made) => made.writeBigUInt64BE(512n, 8)],
  ["a backing file without a place", /has a backing file/, (made) => made.writeUInt32BE(11, 16)],
  ["encryption", /is encrypted/, (made) => made.writeUInt32BE(1, 32)],
  ["encryption by LUKS", /is encrypted/, (made) => made.writeUInt32BE(2, 32)],
  ["the header of an encryption", /is encrypted/, (made) => extend(made, 0x0537be77, "\0".repeat(16))],
  ["a data file", /external data file/, (made) => made.writeBigUInt64BE(4n, 72)],
  ["the name of a data file", /external data file/, (made) => extend(made, 0x44415441, "/etc/shadow")],
  ["corruption", /marked as corrupt/, (made) => made.writeBigUInt64BE(2n, 72)],
  ["what is not known", /not known here \(bits 0x20\)/, (made) => made.writeBigUInt64BE(0x20n, 72)],
  ["too small clusters", /clusters of 2\^8 bytes/, (made) => made.writeUInt32BE(8, 20)],
  ["too large clusters", /clusters of 2\^22 bytes/, (made) => made.writeUInt32BE(22, 20)],
  [
    "a terabyte",
    /has 1\.0 TiB, more than 32\.0 GiB/,
    (made) => made.writeBigUInt64BE(BigInt(1024 * GiB), 24),
  ],
  ["all there is", /more than 32\.0 GiB/, (made) => made.writeBigUInt64BE(2n ** 64n - 1n, 24)],
  ["nothing", /disk is empty/, (made) => made.writeBigUInt64BE(0n, 24)],
  ["a header that is too short", /header of 96 bytes/, (made) => made.writeUInt32BE(96, 100)],
  ["a header that is too long", /header of 70000 bytes/, (made) => made.writeUInt32BE(70000, 100)],
  ["an endless extension", /ends outside/, (made) => extend(made, 1, "", 2 ** 32 - 1)],
  ["a table behind the end", /truncated/, (made) => made.writeBigUInt64BE(BigInt(fileBytes), 40)],
  [
    "reference counts behind the end",
    /truncated/,
    (made) => made.writeBigUInt64BE(BigInt(fileBytes - 1), 48),
  ],
];

for (const [what, wanted, change] of refusals)
  test(`an image with ${what} is refused`, () => {
    const found = read(header(change));
    assert.ok("refused" in found);
    assert.match(found.refused, wanted);
  });

test("an image that ends within its header is refused, wherever", () => {
  for (let bytes = 4; bytes < 104; bytes++)
    assert.deepEqual(read(header().subarray(0, bytes), bytes), {
      refused: "it is truncated: it ends within its header",
    });
});

/** A disk with one partition that ends at a sector, which a BIOS starts. */
function disk(end: number): Buffer {
  const made = Buffer.alloc(tableBytes);
  made.set([0xeb, 0x63], 0);
  made.writeUInt32LE(2048, 454);
  made.writeUInt32LE(end - 2048, 458);
  made.writeUInt16LE(0xaa55, 510);
  return made;
}

/** With a GPT whose second copy is at a sector, and a partition of a type. */
function gptDisk(last: number, type: string): Buffer {
  const made = disk(4096);
  made.write("EFI PART", 512, "latin1");
  made.writeBigUInt64LE(BigInt(last), 544);
  made.write(type, 1024, "hex");
  return made;
}

const arm64 = "45b021b9f01dc341af444c6f280d3fae";
const amd64 = "e3bc684fcde8b14d96e7fbcaf984b709";

test("a disk tells whether a BIOS starts it, and its architecture where it has a type for that", () => {
  assert.deepEqual(readDiskTable(disk(4096), 4096 * 512), { startsByBios: true });
  assert.deepEqual(readDiskTable(gptDisk(8191, amd64), 8192 * 512), {
    startsByBios: true,
    architecture: "amd64",
  });
  const uefi = gptDisk(8191, arm64).fill(0, 0, 440);
  assert.deepEqual(readDiskTable(uefi, 8192 * 512), { startsByBios: false, architecture: "arm64" });
});

test("a disk that is no disk, or not all there, is refused", () => {
  for (const [beginning, bytes, wanted] of [
    [disk(4096), 4096 * 512 - 1, /no whole sectors/],
    [disk(4096), 4095 * 512, /truncated/],
    [gptDisk(8192, amd64), 8192 * 512, /truncated/],
    [Buffer.alloc(tableBytes), 4096 * 512, /no partition table/],
    [Buffer.alloc(0), 0, /no partition table/],
  ] as const) {
    const found = readDiskTable(beginning, bytes);
    assert.ok("refused" in found);
    assert.match(found.refused, wanted);
  }
});
