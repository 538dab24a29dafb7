/** Blobs as files of a directory: renamed into place, so that a name means complete. */
import { createReadStream, existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { syncDirectory, writeDurably } from "../../os/files/durable.ts";
import { isSystemError } from "../../os/failure.ts";
import { blobName, blobPath, markName, storedAt, type BlobStorage, type StoredBlob } from "./blob-storage.ts";

/** The storage in a directory, below `AB/` those whose digest begins with `ab`; of one file system with what is put there. */
export class DirectoryStorage implements BlobStorage {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  path(name: string): string {
    return join(this.#directory, blobPath(name));
  }

  async put(name: string, file: string): Promise<void> {
    const path = this.path(name);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    if (!existsSync(path)) await rename(file, path);
    // Also what is there already: another request may have named it a moment ago and not synced yet.
    await syncDirectory(dirname(path));
    await syncDirectory(this.#directory);
  }

  read(name: string, start: number, end: number): Readable {
    return createReadStream(this.path(name), { start, end: end - 1 });
  }

  async remove(name: string): Promise<boolean> {
    await rm(this.path(name), { force: true });
    return true;
  }

  async *list(): AsyncGenerator<readonly StoredBlob[]> {
    for (const beginning of await readdir(this.#directory)) {
      if (!/^[0-9a-f]{2}$/.test(beginning)) continue;
      const found: StoredBlob[] = [];
      for (const rest of await readdir(join(this.#directory, beginning))) {
        const blob = storedAt(`${beginning}/${rest}`);
        const file = blob && (await stat(this.path(blobName(blob))).catch(absent));
        if (file) found.push({ ...blob, bytes: file.size, changedAt: file.mtime });
      }
      yield found;
    }
  }

  /** There is none: a file is received elsewhere, and named when it is whole. */
  async clearAway(): Promise<void> {}

  async readMark(): Promise<string | undefined> {
    const text = await readFile(join(this.#directory, markName), "utf8").catch(absent);
    return text?.trim();
  }

  async mark(name: string): Promise<void> {
    await writeDurably(join(this.#directory, markName), Buffer.from(`${name}\n`));
  }
}

function absent(error: unknown): undefined {
  if (!isSystemError(error, "ENOENT")) throw error;
}
