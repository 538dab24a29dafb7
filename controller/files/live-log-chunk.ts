/**
 * Live logs: what a machine prints while it builds, as raw bytes.
 *
 * Secrets of the build's are masked before they are written. A secret may be cut by the end of a chunk: what may be the
 * beginning of one is held back until the next chunk comes, or the session ends; what is held back then is masked.
 *
 * Invariant: what is written, with what is held back, is as long as the offset of the next chunk. A chunk that was sent
 * before is skipped as far as it is known, so an agent that missed an answer sends again; a chunk beyond the end is refused
 * with the offset wanted. Nothing is synced: this is for watching, the result has the logs that count.
 *
 * Where one controller has the data they are files (live-logs.ts), else they are in the database (shared-live-logs.ts).
 */
import type { Readable } from "node:stream";
import { maskBeginning, maskSecrets } from "./secret-mask.ts";

/** Live logs, wherever they are; one that is not there is empty. */
export interface KeptLiveLogs {
  /** Bytes kept so far. */
  size(session: number): Promise<number>;
  /** Reads at most `length` bytes from an offset; nothing at the end. */
  read(session: number, offset: number, length?: number): Promise<Buffer>;
  /** For those who read pieces of it. */
  source(session: number): LiveLogSource;
  /** Adds a chunk at an offset in bytes. */
  append(session: number, offset: number, chunk: Uint8Array, secrets?: readonly string[]): Promise<Appended>;
  /** No more comes: what was held back may be most of a secret. */
  finish(session: number): Promise<void>;
  /** Those that have a log. */
  sessions(): Promise<number[]>;
  /**
   * Removes the log of a session from which no more comes.
   *
   * @returns how many bytes it had, if there was one.
   */
  remove(session: number): Promise<number | undefined>;
}

/** One log. */
export interface LiveLogSource {
  size(): Promise<number>;
  /** Both ends in bytes, the end exclusive. */
  read(start: number, end: number): Readable;
}

/** What became of a chunk. */
export type Appended = { appended: number } | { expectedOffset: number };

const cut = "\n[croft: the log is longer than this controller keeps; the rest is left out]\n";

interface LogEnd {
  /** How many bytes are written. */
  written: number;
  held: Buffer;
}

interface Chunk {
  offset: number;
  chunk: Uint8Array;
  secrets: readonly string[];
}

/** What is to be written of a chunk, and held back then; or why nothing is. */
export function takeChunk(
  { written, held }: LogEnd,
  { offset, chunk, secrets }: Chunk,
  limitBytes: number,
): Appended | { appended: number; write: Buffer; held: Buffer } {
  if (written > limitBytes) return { appended: 0 }; // cut already
  const size = written + held.length;
  if (offset > size) return { expectedOffset: size };
  const news = chunk.subarray(size - offset);
  if (news.length === 0) return { appended: 0 };
  const room = limitBytes - size;
  const bytes = Buffer.concat([held, news]);
  const open = maskSecrets(bytes, secrets);
  if (news.length > room) {
    maskBeginning(bytes, open);
    const write = Buffer.concat([bytes.subarray(0, held.length + room), Buffer.from(cut)]);
    return { appended: room + cut.length, write, held: Buffer.alloc(0) };
  }
  return {
    appended: news.length,
    write: bytes.subarray(0, bytes.length - open),
    held: Buffer.from(bytes.subarray(bytes.length - open)),
  };
}

/** What is written of what was held back when no more comes. */
export function lastOf(held: Buffer): Buffer {
  maskBeginning(held, held.length);
  return held;
}
