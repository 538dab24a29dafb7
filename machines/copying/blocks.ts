/**
 * The files of a revision in blocks of 4 KiB, each known by a digest, as far as they are not zero.
 *
 * File systems put what files have into whole blocks of this size. So two disks that were made of nearly the same packages have
 * nearly the same blocks, although at other places: whoever has the one needs few blocks for the other.
 */
import { hash } from "node:crypto";
import { readSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { dataExtents } from "../../os/files/data-extents.ts";

export const blockBytes = 4096;
/** Of SHA-256, whose other half would double what is sent for a block that is there. */
export const digestBytes = 16;
/** How many blocks are looked at, and sent, at a time. */
export const segmentBlocks = 2048;
/** Of what more than so many blocks have (16 GiB), the rest is sent anew: the index is in memory. */
const indexedMaximum = 4 * 1024 * 1024;

const zeros = Buffer.alloc(blockBytes);

/** Blocks of a file that are not zero; valid until the next segment is asked for. */
interface Segment {
  /** The number of each in the file, ascending. */
  positions: readonly number[];
  /** One after the other; that at the file's end is filled up with zeros. */
  data: Buffer;
}

export function blockAt(data: Buffer, index: number): Buffer {
  return data.subarray(index * blockBytes, (index + 1) * blockBytes);
}

export function digestOf(block: Buffer): Buffer {
  return hash("sha256", block, "buffer").subarray(0, digestBytes);
}

/** At most how much of a file is sent: what its blocks have that something was written to. */
export function dataBytesOf(descriptor: number, bytes: number): number {
  let blocks = 0;
  for (const { first, last } of blockRanges(descriptor, bytes)) blocks += last - first;
  return blocks * blockBytes;
}

/** The data of an open file. */
export function* segmentsOf(descriptor: number, bytes: number): Generator<Segment, void> {
  const data = Buffer.alloc(segmentBlocks * blockBytes);
  let positions: number[] = [];
  const segment = () => ({ positions, data: data.subarray(0, positions.length * blockBytes) });
  for (const { first, last } of blockRanges(descriptor, bytes))
    for (let block = first; block < last;) {
      const count = Math.min(segmentBlocks - positions.length, last - block);
      const read = data.subarray(positions.length * blockBytes).subarray(0, count * blockBytes);
      readFully(descriptor, read, block * blockBytes);
      for (let index = 0; index < count; index++) {
        const each = blockAt(read, index);
        if (each.equals(zeros)) continue;
        each.copy(data, positions.length * blockBytes);
        positions.push(block + index);
      }
      block += count;
      if (positions.length < segmentBlocks) continue;
      yield segment();
      positions = [];
    }
  if (positions.length > 0) yield segment();
}

/** By number, from the first to before the last; no block twice. */
function* blockRanges(descriptor: number, bytes: number): Generator<{ first: number; last: number }, void> {
  let next = 0;
  for (const { start, end } of dataExtents(descriptor, bytes)) {
    const first = Math.max(next, Math.floor(start / blockBytes));
    next = Math.ceil(end / blockBytes);
    if (first < next) yield { first, last: next };
  }
}

/** Behind the end of the file there are zeros. */
function readFully(descriptor: number, into: Buffer, position: number): void {
  for (let done = 0; done < into.length;) {
    const count = readSync(descriptor, into, done, into.length - done, position + done);
    if (count === 0) return void into.fill(0, done);
    done += count;
  }
}

/** Finds blocks in files that are there, by their digests. */
export class BlockIndex {
  readonly #files: number[] = [];
  /** From the first 6 bytes of a digest to the number of the file and of the block in it: what it leads to is looked at. */
  readonly #places = new Map<number, number>();

  /** Lets blocks be found in an open file; those that are told of with {@link add}. */
  open(descriptor: number): number {
    return this.#files.push(descriptor) - 1;
  }

  /** @param file from {@link open} */
  add(digest: Buffer, file: number, block: number): void {
    if (this.#places.size < indexedMaximum) this.#places.set(digest.readUIntBE(0, 6), file * 2 ** 32 + block);
  }

  /** Adds all blocks of an open file. */
  async addAll(descriptor: number, bytes: number, signal: AbortSignal): Promise<void> {
    const file = this.open(descriptor);
    for (const { positions, data } of segmentsOf(descriptor, bytes)) {
      positions.forEach((block, index) => this.add(digestOf(blockAt(data, index)), file, block));
      await setImmediate(); // an interruption is noticed
      signal.throwIfAborted();
    }
  }

  /** Reads the block with this digest; false if it is not found, or is not what it was. */
  read(digest: Buffer, into: Buffer): boolean {
    const place = this.#places.get(digest.readUIntBE(0, 6));
    if (place === undefined) return false;
    readFully(this.#files[Math.floor(place / 2 ** 32)]!, into, (place % 2 ** 32) * blockBytes);
    return digestOf(into).equals(digest);
  }
}
