/**
 * Live logs: what a machine prints while it builds, as raw bytes in one file a session.
 *
 * Invariant: the file's size is the offset of the next chunk. A chunk that was sent before is skipped as far as it
 * is known, so an agent that missed an answer sends again; a chunk beyond the end is refused with the offset wanted.
 * Nothing is synced: this is for watching, the result has the logs that count.
 */
import { appendFile, open, stat } from "node:fs/promises";
import { join } from "node:path";
import type { DataDirectory } from "./data-directory.ts";

const cut = "\n[croft: the log is longer than this controller keeps; the rest is left out]\n";

/** What became of a chunk. */
export type Appended = { appended: number } | { expectedOffset: number };

/** The live logs of a data directory. */
export class LiveLogs {
  readonly #directory: string;
  readonly #limitBytes: number;
  /** Chunks of one session follow each other, however many requests bring them. */
  readonly #tails = new Map<number, Promise<unknown>>();

  constructor(directory: DataDirectory, limitBytes: number) {
    this.#directory = directory.logs;
    this.#limitBytes = limitBytes;
  }

  path(session: number): string {
    return join(this.#directory, `${session}.log`);
  }

  /** Bytes kept so far. */
  async size(session: number): Promise<number> {
    return (await stat(this.path(session)).catch(() => undefined))?.size ?? 0;
  }

  /** Adds a chunk at an offset in bytes. */
  async append(session: number, offset: number, chunk: Uint8Array): Promise<Appended> {
    const previous = this.#tails.get(session) ?? Promise.resolve();
    const next = previous.then(() => this.#append(session, offset, chunk));
    const settled = next.catch(() => {});
    this.#tails.set(session, settled);
    try {
      return await next;
    } finally {
      if (this.#tails.get(session) === settled) this.#tails.delete(session);
    }
  }

  async #append(session: number, offset: number, chunk: Uint8Array): Promise<Appended> {
    const size = await this.size(session);
    if (size > this.#limitBytes) return { appended: 0 }; // cut already
    if (offset > size) return { expectedOffset: size };
    const news = chunk.subarray(size - offset);
    const room = this.#limitBytes - size;
    if (news.length <= room) {
      if (news.length > 0) await appendFile(this.path(session), news);
      return { appended: news.length };
    }
    await appendFile(this.path(session), Buffer.concat([news.subarray(0, room), Buffer.from(cut)]));
    return { appended: room + cut.length };
  }

  /** Reads at most `length` bytes from an offset; nothing at the end or if there is no log. */
  async read(session: number, offset: number, length = 64 * 1024): Promise<Buffer> {
    const file = await open(this.path(session), "r").catch(() => undefined);
    if (!file) return Buffer.alloc(0);
    await using held = file;
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await held.read(buffer, 0, length, offset);
    return buffer.subarray(0, bytesRead);
  }
}
