/** Reads a backup, and makes sure that it is complete and as it was written. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { Parser, type ReadEntry } from "tar";
import { Failure, reasonOf } from "../../os/failure.ts";
import { storedAt } from "../files/blob-storage.ts";
import { headName, formatVersion, sumsName, type BackupHead } from "./archive.ts";

/** What a complete backup was found to have. */
export interface BackupContents {
  head: BackupHead;
  files: number;
  bytes: number;
}

/** Takes an entry of a backup; of a directory there is no content. */
export type TakeEntry = (
  entry: { path: string; isDirectory: boolean; head: BackupHead },
  content: AsyncIterable<Buffer>,
) => Promise<void>;

const name = "[A-Za-z0-9_][A-Za-z0-9_.-]*";
const paths = new RegExp(
  `^(?:database(?:/${name})*/?|blobs/[0-9a-f]{2}/[0-9a-f]{62}(?:\\.[1-9]\\d{0,8})?|logs/\\d{1,9}\\.log|rejected/build-\\d+-attempt-\\d+\\.manifest)$`,
);
const longestHeadBytes = 64 * 1024;

/**
 * Reads an archive, as it is or compressed by gzip.
 *
 * @param take is given each entry; it need not read the content.
 * @throws {Failure} if it is not a backup, not complete, or damaged; what was taken is worth nothing then.
 */
export async function readBackup(
  archive: AsyncIterable<Uint8Array>,
  what: string,
  take: TakeEntry,
): Promise<BackupContents> {
  const reader = new Reader(take);
  try {
    await reader.read(unlessBroken(archive, what));
    return reader.contents();
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(`use the backup '${what}'`, reasonOf(error), { cause: error });
  }
}

class Reader {
  readonly #take: TakeEntry;
  readonly #digests = new Map<string, string>();
  #head: BackupHead | undefined;
  #sums: string | undefined;
  #bytes = 0;

  constructor(take: TakeEntry) {
    this.#take = take;
  }

  async read(archive: AsyncIterable<Uint8Array>): Promise<void> {
    const failed = Promise.withResolvers<never>();
    failed.promise.catch(() => {}); // whoever waits hears of it
    let entries: Promise<void> = Promise.resolve();
    const parser = new Parser({
      strict: true,
      onReadEntry: (entry) => {
        entries = entries.then(() => this.#entry(entry));
        entries.catch(failed.reject);
      },
    });
    parser.on("error", failed.reject);
    const ended = once(parser, "end");
    ended.catch(() => {});
    for await (const piece of archive)
      if (!parser.write(piece)) await Promise.race([once(parser, "drain"), failed.promise]);
    parser.end();
    await Promise.race([ended, failed.promise]);
    await Promise.race([entries, failed.promise]);
  }

  async #entry(entry: ReadEntry): Promise<void> {
    const { path, type } = entry;
    if (this.#sums !== undefined) throw new Error(`there is ${JSON.stringify(path)} after its end`);
    if (this.#head === undefined) {
      if (path !== headName) throw new Error("it is no backup of a controller");
      this.#head = headIn(await textOf(this.#hashed(entry), longestHeadBytes));
    } else if (path === sumsName) this.#sums = await textOf(entry, Infinity);
    else if ((type !== "File" && type !== "Directory") || !paths.test(path) || path.includes(".."))
      throw new Error(`it has an entry ${JSON.stringify(path)}, as no backup has it`);
    else {
      const isDirectory = type === "Directory";
      const content = isDirectory ? noContent() : this.#hashed(entry);
      await this.#take({ path: path.replace(/\/$/, ""), isDirectory, head: this.#head }, content);
      for await (const _rest of content);
      entry.resume();
    }
  }

  async *#hashed(entry: ReadEntry): AsyncGenerator<Buffer> {
    const hash = createHash("sha256");
    for await (const piece of entry) {
      hash.update(piece);
      this.#bytes += piece.length;
      yield piece;
    }
    const digest = hash.digest("hex");
    const { path } = entry;
    if (path.startsWith("blobs/") && storedAt(path.slice("blobs/".length))?.digest !== digest)
      throw new Error(`${path} is not what its name says`);
    this.#digests.set(path, digest);
  }

  /** @throws {Error} if it is not all there. */
  contents(): BackupContents {
    if (this.#head === undefined) throw new Error("there is nothing in it");
    if (this.#sums === undefined) throw new Error("it is not complete");
    const told = this.#sums.split("\n").filter((line) => line !== "");
    for (const line of told) {
      const [, digest, path = ""] = /^([0-9a-f]{64}) {2}(.+)$/.exec(line) ?? [];
      const found = this.#digests.get(path);
      if (found === undefined) throw new Error(`${path} is not in it`);
      if (found !== digest) throw new Error(`${path} is damaged`);
    }
    if (told.length !== this.#digests.size) throw new Error("it has more in it than it says");
    return { head: this.#head, files: told.length, bytes: this.#bytes };
  }
}

/** Whoever sends it may break off, which says nothing of what it is. */
async function* unlessBroken(archive: AsyncIterable<Uint8Array>, what: string): AsyncGenerator<Uint8Array> {
  try {
    yield* archive;
  } catch (error) {
    throw error instanceof Failure
      ? error
      : new Failure(`read the backup '${what}'`, reasonOf(error), { cause: error });
  }
}

async function* noContent(): AsyncGenerator<Buffer> {}

async function textOf(content: AsyncIterable<Buffer>, most: number): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of content) {
    bytes += piece.length;
    if (bytes > most) throw new Error("it is no backup of a controller");
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

function headIn(text: string): BackupHead {
  const head = JSON.parse(text) as BackupHead;
  if (head.format === formatVersion) return head;
  throw new Error(`it is of another form (${head.format}), made by croft ${head.croft}`);
}
