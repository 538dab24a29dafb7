/** Live logs of the one controller of a data directory: a file a session (live-log-chunk.ts says what is in it). */
import { createReadStream } from "node:fs";
import { appendFile, open, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { DataDirectory } from "./data-directory.ts";
import { lastOf, takeChunk, type Appended, type KeptLiveLogs } from "./live-log-chunk.ts";

/** The live logs of a data directory. */
export class LiveLogs implements KeptLiveLogs {
  readonly #directory: string;
  readonly #limitBytes: number;
  /** Chunks of one session follow each other, however many requests bring them. */
  readonly #tails = new Map<number, Promise<unknown>>();
  readonly #heldBack = new Map<number, Buffer>();

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

  /** For those who read pieces of it; a log that is not there is empty. */
  source(session: number) {
    return {
      size: () => this.size(session),
      read: (start: number, end: number) => createReadStream(this.path(session), { start, end: end - 1 }),
    };
  }

  /** Adds a chunk at an offset in bytes. */
  async append(
    session: number,
    offset: number,
    chunk: Uint8Array,
    secrets: readonly string[] = [],
  ): Promise<Appended> {
    return await this.#inTurn(session, () => this.#append(session, offset, chunk, secrets));
  }

  /** Those that have a log here. */
  async sessions(): Promise<number[]> {
    const names = await readdir(this.#directory);
    return names.filter((name) => /^\d{1,9}\.log$/.test(name)).map((name) => Number.parseInt(name, 10));
  }

  /**
   * Removes the log of a session from which no more comes.
   *
   * @returns how many bytes it had, if there was one.
   */
  async remove(session: number): Promise<number | undefined> {
    const bytes = (await stat(this.path(session)).catch(() => undefined))?.size;
    await rm(this.path(session), { force: true });
    this.#heldBack.delete(session);
    return bytes;
  }

  async finish(session: number): Promise<void> {
    await this.#inTurn(session, async () => {
      const rest = this.#heldBack.get(session);
      this.#heldBack.delete(session);
      if (rest) await this.#write(session, lastOf(rest));
    });
  }

  async #inTurn<T>(session: number, work: () => Promise<T>): Promise<T> {
    const previous = this.#tails.get(session) ?? Promise.resolve();
    const next = previous.then(work);
    const settled = next.catch(() => {});
    this.#tails.set(session, settled);
    try {
      return await next;
    } finally {
      if (this.#tails.get(session) === settled) this.#tails.delete(session);
    }
  }

  async #append(
    session: number,
    offset: number,
    chunk: Uint8Array,
    secrets: readonly string[],
  ): Promise<Appended> {
    const written = await this.size(session);
    const held = this.#heldBack.get(session) ?? Buffer.alloc(0);
    const taken = takeChunk({ written, held }, { offset, chunk, secrets }, this.#limitBytes);
    if (!("write" in taken)) return taken;
    await this.#write(session, taken.write);
    if (taken.held.length > 0) this.#heldBack.set(session, taken.held);
    else this.#heldBack.delete(session);
    return { appended: taken.appended };
  }

  async #write(session: number, bytes: Uint8Array): Promise<void> {
    if (bytes.length > 0) await appendFile(this.path(session), bytes, { mode: 0o600 });
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
