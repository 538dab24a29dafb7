/**
 * Backups: a tar archive, from its first entry to its last:
 *
 * 1. `croft-backup.json`: what it is of ({@link BackupHead});
 * 2. `database/`: the files of the embedded database;
 * 3. `logs/`, `rejected/`, `blobs/`: as in the data directory, blobs only where they are stored there;
 * 4. `SHA256SUMS`: the digests of all files before it, in the form of sha256sum.
 *
 * Only an archive with that last entry is complete, and only if each file is what its digest says.
 *
 * Secrets are in it as in the database: encrypted with a key that is not (secrets/key.ts). Tokens are in it as digests.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { Header } from "tar";

export const headName = "croft-backup.json";
export const sumsName = "SHA256SUMS";
export const formatVersion = 1;

/** What a backup is of. */
export interface BackupHead {
  format: number;
  /** Version of croft. */
  croft: string;
  /** Of the tables. */
  tables: number;
  madeAt: string;
  /** Where blobs are: `directory`, if they are in the archive, or the name of a storage, if they are not. */
  storage: string;
}

/** An entry: a directory, or content. Of a file that grows, so many bytes are taken. */
export type ArchiveEntry = { path: string } & (
  { isDirectory: true } | { content: Buffer } | { file: string; bytes: number }
);

const blockBytes = 512;

/**
 * The archive of some entries, with the digests of all files at its end.
 *
 * @throws {Error} if a file is shorter than its entry says.
 */
export async function* archiveOf(
  entries: AsyncIterable<ArchiveEntry> | Iterable<ArchiveEntry>,
): AsyncGenerator<Buffer> {
  const sums: string[] = [];
  for await (const entry of entries) {
    const hash = createHash("sha256");
    for await (const piece of piecesOf(entry, (content) => hash.update(content))) yield piece;
    if (!("isDirectory" in entry)) sums.push(`${hash.digest("hex")}  ${entry.path}\n`);
  }
  yield* piecesOf({ path: sumsName, content: Buffer.from(sums.join("")) }, () => {});
  yield Buffer.alloc(2 * blockBytes);
}

async function* piecesOf(entry: ArchiveEntry, tell: (content: Buffer) => void): AsyncGenerator<Buffer> {
  const { path } = entry;
  if ("isDirectory" in entry) {
    yield headerOf(`${path}/`, 0, "Directory");
    return;
  }
  const bytes = "content" in entry ? entry.content.length : entry.bytes;
  yield headerOf(path, bytes, "File");
  let sent = 0;
  const content = "content" in entry ? [entry.content] : readFile(entry.file, bytes);
  for await (const piece of content) {
    tell(piece);
    sent += piece.length;
    yield piece;
  }
  if (sent !== bytes) throw new Error(`${path} has become shorter while it was read`);
  const rest = bytes % blockBytes;
  if (rest > 0) yield Buffer.alloc(blockBytes - rest);
}

function readFile(file: string, bytes: number): AsyncIterable<Buffer> | readonly Buffer[] {
  return bytes === 0 ? [] : createReadStream(file, { end: bytes - 1, highWaterMark: 1 << 18 });
}

function headerOf(path: string, size: number, type: "File" | "Directory"): Buffer {
  const isFile = type === "File";
  const header = new Header({
    path,
    size,
    type,
    mode: isFile ? 0o600 : 0o700,
    uid: 0,
    gid: 0,
    mtime: new Date(),
  });
  const block = Buffer.alloc(blockBytes);
  if (header.encode(block)) throw new Error(`${path} is too long for an archive`);
  return block;
}
