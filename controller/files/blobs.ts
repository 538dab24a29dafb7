/**
 * Content under its SHA-256: logs and artifacts of results. It is received into a file first, and stored when it is known
 * what it is.
 *
 * Blobs that nothing refers to any more are removed while others are stored (../retention/unused-blobs.ts), perhaps of the
 * same content, by any controller. Each has a row in `croft.blobs`, and
 *
 * 1. whoever stores one writes its row before (`claim`), or says there that it is used again;
 * 2. whoever refers to it does so in a transaction that holds that row ({@link BlobStore.hold}), or does not find it;
 * 3. whoever removes it holds its row alone, sees then that nothing refers to it and that it was not claimed in the last
 *    hour, and puts a row in `croft.removals` in its place; that goes when it is certain that the removal is over.
 *
 * So nothing that is referred to is missing, however long any of it takes, and what is stored and never referred to, since
 * a controller was killed in between, has a row by which it is found.
 *
 * A service may carry out a removal long after it was given up. So what has a row in `croft.removals` may vanish at any
 * time, and whoever stores the same content meanwhile stores it as one of a later generation, which has another name.
 */
import { createHash, randomUUID } from "node:crypto";
import { once } from "node:events";
import { open, rm, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { Sql } from "../database/database.ts";
import { reasonOf } from "../../os/failure.ts";
import { blobName, StorageFailure, type BlobStorage } from "./blob-storage.ts";
import type { DataDirectory } from "./data-directory.ts";

/** Content that is stored, or received and not yet stored. */
export interface Blob {
  /** SHA-256, lower-case hexadecimal. */
  digest: string;
  bytes: number;
}

/** Received content; it is dropped when disposed of unless it was kept. */
export interface Incoming extends Blob, AsyncDisposable {
  /** The file it is in. */
  readonly file: string;
}

/** Blobs, and the rows that tell of them. */
export class BlobStore {
  readonly #incoming: string;
  readonly #storage: BlobStorage;
  readonly #database: Sql;

  constructor({ incoming }: Pick<DataDirectory, "incoming">, storage: BlobStorage, database: Sql) {
    this.#incoming = incoming;
    this.#storage = storage;
    this.#database = database;
  }

  /** A part of the content, both ends in bytes, the end exclusive. */
  read(digest: string, start = 0, end = Infinity): Readable {
    return Readable.from(this.#pieces(digest, start, end), { objectMode: false });
  }

  async *#pieces(digest: string, start: number, end: number): AsyncGenerator<Uint8Array> {
    yield* this.#storage.read(await this.#nameOf(digest), start, end);
  }

  async #nameOf(digest: string): Promise<string> {
    const [row] = await this.#database.query<{ generation: number }>(
      "select generation from croft.blobs where digest = $1",
      [digest],
    );
    return blobName({ digest, generation: row?.generation ?? 0 });
  }

  /**
   * As {@link read}, when it is known that there is something to read: before, an answer can still say so.
   *
   * @throws {StorageFailure} if it cannot be read.
   */
  async open(digest: string, start = 0, end = Infinity): Promise<Readable> {
    const stream = this.#storage.read(await this.#nameOf(digest), start, end);
    try {
      await once(stream, "readable");
    } catch (error) {
      throw new StorageFailure(`read what is stored as ${digest.slice(0, 12)}`, reasonOf(error), {
        cause: error,
      });
    }
    return stream;
  }

  /** Writes content to the incoming directory and syncs it. */
  async receive(content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Incoming> {
    const path = join(this.#incoming, randomUUID());
    const hash = createHash("sha256");
    let bytes = 0;
    await using stack = new AsyncDisposableStack();
    stack.defer(() => rm(path, { force: true }));
    await using file = await open(path, "wx", 0o600);
    for await (const chunk of content) {
      hash.update(chunk);
      bytes += chunk.length;
      await writeAll(file, chunk);
    }
    await file.sync();
    const digest = hash.digest("hex");
    const cleanUp = stack.move();
    return { digest, bytes, file: path, [Symbol.asyncDispose]: () => cleanUp.disposeAsync() };
  }

  /**
   * Stores what was received. Whoever refers to it looks first whether it is there still: {@link hold}.
   *
   * @param sql a transaction that the caller is in; it holds them then until its end.
   */
  async keep(received: readonly Incoming[], sql = this.#database): Promise<void> {
    const generations = await claim(sql, received);
    for (const { digest, file } of received)
      await this.#storage.put(blobName({ digest, generation: generations.get(digest) ?? 0 }), file);
  }

  /** Stores content that is at hand, as {@link keep} does. */
  async store(content: Uint8Array, sql = this.#database): Promise<Blob> {
    await using incoming = await this.receive(slices(content));
    await this.keep([incoming], sql);
    return { digest: incoming.digest, bytes: incoming.bytes };
  }

  /**
   * Keeps blobs from being removed until a transaction ends that refers to them.
   *
   * @throws {Error} if one was removed already: more than an hour after it was stored, and nothing referred to it.
   */
  async hold(sql: Sql, digests: readonly string[]): Promise<void> {
    const wanted = new Set(digests);
    const held = await sql.query("select 1 from croft.blobs where digest = any($1::text[]) for key share", [
      [...wanted],
    ]);
    if (held.length < wanted.size)
      throw new Error("what was stored was removed before anything referred to it");
  }
}

/**
 * A claim of the last minutes is not written down anew, but waited for all the same if it is being removed.
 *
 * @returns the generation of each, by its digest.
 */
async function claim(sql: Sql, blobs: readonly Blob[]): Promise<ReadonlyMap<string, number>> {
  const sizes = new Map(blobs.map(({ digest, bytes }) => [digest, bytes]));
  const digests = [...sizes.keys()].sort();
  await sql.query(
    `insert into croft.blobs (digest, bytes) select * from unnest($1::text[], $2::double precision[])
     on conflict (digest) do update set used_at = now() where blobs.used_at < now() - interval '5 minutes'`,
    [digests, digests.map((digest) => sizes.get(digest))],
  );
  // By another statement: one that has waited for a removal to be written down does not see it.
  for (;;) {
    const rows = await sql.query<{ digest: string; generation: number; goes: boolean }>(
      `select b.digest, b.generation, ${isBeingRemoved} as goes from croft.blobs b where b.digest = any($1::text[])`,
      [digests],
    );
    if (!rows.some(({ goes }) => goes))
      return new Map(rows.map(({ digest, generation }) => [digest, generation]));
    await sql.query(
      `update croft.blobs b set generation = (select max(r.generation) + 1 from croft.removals r where r.digest = b.digest)
       where b.digest = any($1::text[]) and ${isBeingRemoved}`,
      [digests],
    );
  }
}

const isBeingRemoved =
  "exists (select from croft.removals r where r.digest = b.digest and r.generation = b.generation)";

function* slices(content: Uint8Array): Iterable<Uint8Array> {
  for (let at = 0; at < content.length; at += 1 << 20) yield content.subarray(at, at + (1 << 20));
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.length;) at += (await file.write(chunk, at)).bytesWritten;
}
