/** Files stored under the SHA-256 of their content: written beside, synced, renamed, so that a name means complete. */
import { createHash, randomUUID } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { mkdir, open, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { syncDirectory } from "../../os/files/durable.ts";
import type { DataDirectory } from "./data-directory.ts";

/** Content that is stored, or received and not yet stored. */
export interface Blob {
  /** SHA-256, lower-case hexadecimal. */
  digest: string;
  bytes: number;
}

/** Received content; it is dropped when disposed of unless it was kept. */
export interface Incoming extends Blob, AsyncDisposable {
  keep(): Promise<void>;
}

/** The blobs of a data directory. */
export class BlobStore {
  readonly #directory: DataDirectory;

  constructor(directory: DataDirectory) {
    this.#directory = directory;
  }

  path(digest: string): string {
    return join(this.#directory.blobs, digest.slice(0, 2), digest.slice(2));
  }

  /** A part of the content, both ends in bytes, the end exclusive. */
  read(digest: string, start = 0, end = Infinity): Readable {
    return createReadStream(this.path(digest), { start, end: end - 1 });
  }

  /** Writes content to the incoming directory and syncs it. */
  async receive(content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Incoming> {
    const temporary = join(this.#directory.incoming, randomUUID());
    const hash = createHash("sha256");
    let bytes = 0;
    await using stack = new AsyncDisposableStack();
    stack.defer(() => rm(temporary, { force: true }));
    await using file = await open(temporary, "wx", 0o600);
    for await (const chunk of content) {
      hash.update(chunk);
      bytes += chunk.length;
      await writeAll(file, chunk);
    }
    await file.sync();
    const digest = hash.digest("hex");
    const cleanUp = stack.move();
    return {
      digest,
      bytes,
      keep: () => this.#keep(temporary, digest),
      [Symbol.asyncDispose]: () => cleanUp.disposeAsync(),
    };
  }

  async #keep(temporary: string, digest: string): Promise<void> {
    const path = this.path(digest);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    if (!existsSync(path)) await rename(temporary, path);
    // Also what is there already: another request may have named it a moment ago and not synced yet.
    await syncDirectory(dirname(path));
    await syncDirectory(this.#directory.blobs);
  }

  /** Stores content that is at hand. */
  async store(content: Uint8Array): Promise<Blob> {
    await using incoming = await this.receive(slices(content));
    await incoming.keep();
    return { digest: incoming.digest, bytes: incoming.bytes };
  }
}

function* slices(content: Uint8Array): Iterable<Uint8Array> {
  for (let at = 0; at < content.length; at += 1 << 20) yield content.subarray(at, at + (1 << 20));
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.length;) at += (await file.write(chunk, at)).bytesWritten;
}
