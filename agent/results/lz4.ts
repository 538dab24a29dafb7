import { Failure } from "../../os/failure.ts";

/**
 * Decompresses a sequence of LZ4 frames, after adding up what they would decompress to: a guest is hostile, and a
 * frame may grow 255-fold.
 *
 * Format: LZ4 frame format 1.6.4 and LZ4 block format (lz4 project, `doc/`).
 *
 * @throws {Failure} if it is no sequence of LZ4 frames, or would exceed `maxBytes`.
 */
export async function decompressFrames(data: Buffer, maxBytes: number): Promise<Buffer> {
  const { frames } = splitFrames(data, maxBytes);
  const { decompressFrame } = await import("lz4-napi");
  const parts: Buffer[] = [];
  for (const frame of frames) {
    try {
      parts.push(await decompressFrame(frame));
    } catch (error) {
      throw broken((error as Error).message);
    }
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

/**
 * What {@link decompressFrames} would give, in bytes.
 *
 * @throws {Failure} as that does, though not for everything that is broken.
 */
export function decompressedBytes(data: Buffer, maxBytes: number): number {
  return splitFrames(data, maxBytes).total;
}

const magic = 0x184d2204;
/** Each frame costs a call and a buffer, however small it is: a million of empty ones a minute and a gigabyte. */
const framesMax = 1000;

function broken(reason: string): Failure {
  return new Failure("decompress the LZ4 frame", reason);
}

/** Walks the frames and the blocks in them without decompressing; skippable frames are left out. */
function splitFrames(data: Buffer, maxBytes: number): { frames: Buffer[]; total: number } {
  const frames: Buffer[] = [];
  let position = 0;
  let total = 0;
  while (position < data.length) {
    if (data.length - position < 8) throw broken("it is truncated");
    const number = data.readUInt32LE(position);
    if ((number & 0xfffffff0) >>> 0 === 0x184d2a50) {
      position += 8 + data.readUInt32LE(position + 4);
      continue;
    }
    if (number !== magic) throw broken("it does not start like one");
    if (frames.length === framesMax) throw broken(`there are more than ${framesMax} of them`);
    const frame = walkFrame(data, position, maxBytes - total);
    frames.push(data.subarray(position, frame.end));
    total += frame.size;
    position = frame.end;
  }
  if (frames.length === 0) throw broken("it is empty");
  return { frames, total };
}

function walkFrame(data: Buffer, start: number, roomBytes: number): { end: number; size: number } {
  const flags = data[start + 4]!;
  if (flags >> 6 !== 1) throw broken("its version is unknown");
  if (flags & 1) throw broken("it needs a dictionary");
  const blockChecksum = flags & 0x10 ? 4 : 0;
  const contentChecksum = flags & 0x04 ? 4 : 0;
  let position = start + 7 + (flags & 0x08 ? 8 : 0);
  let size = 0;
  for (;;) {
    if (position + 4 > data.length) throw broken("it is truncated");
    const header = data.readUInt32LE(position);
    position += 4;
    if (header === 0) break;
    const length = header & 0x7fffffff;
    if (position + length + blockChecksum > data.length) throw broken("it is truncated");
    size += header >>> 31 ? length : decompressedSize(data, position, position + length);
    if (size > roomBytes) throw broken(`it would take more than the ${roomBytes} bytes allowed`);
    position += length + blockChecksum;
  }
  position += contentChecksum;
  if (position > data.length) throw broken("it is truncated");
  return { end: position, size };
}

/** Size that a block decompresses to: the sum of its literal and match lengths. */
function decompressedSize(data: Buffer, start: number, end: number): number {
  let position = start;
  let size = 0;
  const extend = (length: number): number => {
    if (length !== 15) return length;
    for (;;) {
      if (position >= end) throw broken("a block is broken");
      const more = data[position++]!;
      length += more;
      if (more !== 255) return length;
    }
  };
  while (position < end) {
    const token = data[position++]!;
    const literals = extend(token >> 4);
    position += literals;
    size += literals;
    if (position >= end) break; // the last sequence has literals only
    position += 2; // offset of the match
    size += extend(token & 15) + 4;
  }
  return size;
}
