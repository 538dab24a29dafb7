/**
 * A file system that every Linux reads and nothing on the host is needed for: ISO 9660 (ECMA-119), with files in its root
 * alone. Their names are as they are given, in lower case and without a version: Linux takes them so.
 */

const block = 2048;
/** The first 16 blocks are the system's; then the volume descriptor, its end, and two tables of directories. */
const descriptorAt = 16;
const [littleTableAt, bigTableAt, rootAt, filesAt] = [18, 19, 20, 21];

/** A file in the image. */
interface IsoFile {
  /** At most 30 letters, digits and dashes. */
  name: string;
  content: Buffer;
}

/** Makes the image. */
export function isoImage(label: string, files: readonly IsoFile[]): Buffer {
  let next = filesAt;
  const placed = [...files]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((file) => {
      const at = next;
      next += Math.max(1, Math.ceil(file.content.length / block));
      return { ...file, at };
    });
  const image = Buffer.alloc(next * block);
  const here = directoryRecord(Buffer.of(0), rootAt, block, true);
  describe(image.subarray(descriptorAt * block), label, next, here);
  image.write("\xffCD001\x01", (descriptorAt + 1) * block, "latin1");
  // Each of the tables has the root alone: length of its name, extent, number of its parent, name.
  image.writeUInt8(1, littleTableAt * block);
  image.writeUInt32LE(rootAt, littleTableAt * block + 2);
  image.writeUInt16LE(1, littleTableAt * block + 6);
  image.writeUInt8(1, bigTableAt * block);
  image.writeUInt32BE(rootAt, bigTableAt * block + 2);
  image.writeUInt16BE(1, bigTableAt * block + 6);
  const records = [here, directoryRecord(Buffer.of(1), rootAt, block, true)];
  for (const { name, content, at } of placed) {
    records.push(directoryRecord(Buffer.from(name, "latin1"), at, content.length, false));
    content.copy(image, at * block);
  }
  Buffer.concat(records).copy(image, rootAt * block);
  return image;
}

/** The primary volume descriptor (8.4). */
function describe(sector: Buffer, label: string, blocks: number, root: Buffer): void {
  sector.write("\x01CD001\x01", 0, "latin1");
  sector.fill(" ", 8, 72).write(label, 40, "latin1");
  both32(sector, 80, blocks);
  both16(sector, 120, 1);
  both16(sector, 124, 1);
  both16(sector, 128, block);
  both32(sector, 132, 10); // of a table of directories
  sector.writeUInt32LE(littleTableAt, 140);
  sector.writeUInt32BE(bigTableAt, 148);
  root.copy(sector, 156);
  sector.fill(" ", 190, 813);
  for (const at of [813, 830, 847, 864]) sector.write("0".repeat(16), at, "latin1"); // dates that are not given
  sector.writeUInt8(1, 881);
}

/** An entry of a directory (9.1). */
function directoryRecord(name: Buffer, at: number, bytes: number, isDirectory: boolean): Buffer {
  const record = Buffer.alloc(33 + name.length + (name.length % 2 === 0 ? 1 : 0));
  record.writeUInt8(record.length, 0);
  both32(record, 2, at);
  both32(record, 10, bytes);
  record.set([70, 1, 1, 0, 0, 0, 0], 18); // 1 January 1970
  record.writeUInt8(isDirectory ? 2 : 0, 25);
  both16(record, 28, 1);
  record.writeUInt8(name.length, 32);
  name.copy(record, 33);
  return record;
}

/** Numbers stand there twice, in both orders of bytes (7.2.3, 7.3.3). */
function both16(to: Buffer, at: number, value: number): void {
  to.writeUInt16LE(value, at);
  to.writeUInt16BE(value, at + 2);
}

function both32(to: Buffer, at: number, value: number): void {
  to.writeUInt32LE(value, at);
  to.writeUInt32BE(value, at + 4);
}
