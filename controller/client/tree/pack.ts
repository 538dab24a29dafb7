/**
 * A directory as an archive: the same files give the same bytes, whoever packs them and when, so that what has not changed is
 * known again. All files get one time, that of the commit: make finds nothing older than what it is made of, as in a fresh clone.
 */
import { createWriteStream } from "node:fs";
import { join, relative } from "node:path";
import { pipeline } from "node:stream/promises";
import { treeMost } from "../../../manifests/limits.ts";
import { Failure, reasonOf } from "../../../os/failure.ts";
import { formatBytes } from "../../../os/text/size.ts";
import { tooMuch } from "./files.ts";
import type { Progress } from "./progress.ts";

/** Without a commit. Some formats, such as zip, have no time before 1980. */
const noTime = new Date("2000-01-01T00:00:00Z");

/** How it is packed. */
export interface Packing {
  /** The archive's. */
  file: string;
  /** That of all that is in it. */
  time?: Date | undefined;
  /** What comes along, and lies in another directory. */
  beside?: { directory: string; paths: readonly string[] } | undefined;
}

/**
 * Writes the archive; returns its size.
 *
 * @throws {Failure} if a file cannot be read, or it gets too large.
 */
export async function packTree(
  directory: string,
  paths: readonly string[],
  { file, time = noTime, beside }: Packing,
  progress: Pick<Progress, "tell">,
): Promise<number> {
  const { create } = await import("tar");
  let bytes = 0;
  let packed = 0;
  const pack = create(
    {
      ...{
        cwd: directory,
        gzip: { level: 6 },
        portable: true,
        mtime: time,
        noDirRecurse: true,
        strict: true,
      },
      preservePaths: true, // of the others, which get theirs here
      onWriteEntry: (entry) => {
        packed++;
        if (entry.path.startsWith("/")) entry.path = relative(beside?.directory ?? "/", entry.path);
      },
    },
    [
      ...paths.map((path) => `./${path}`), // one that begins with @ would be an archive to tar
      ...(beside?.paths ?? []).map((path) => join(beside!.directory, path)),
    ],
  );
  try {
    await pipeline(
      pack as unknown as AsyncIterable<Buffer>,
      async function* (pieces: AsyncIterable<Buffer>) {
        for await (const piece of pieces) {
          bytes += piece.length;
          if (bytes > treeMost.archiveBytes)
            throw tooMuch(directory, `packed, it is larger than ${formatBytes(treeMost.archiveBytes)}`, []);
          progress.tell(`${packed} of ${paths.length} files, ${formatBytes(bytes)}`);
          yield piece;
        }
      },
      createWriteStream(file, { flags: "wx", mode: 0o600 }),
    );
  } catch (error) {
    if (error instanceof Failure) throw error;
    const { path } = error as { path?: string };
    throw new Failure(`pack '${path ?? directory}'`, reasonOf(error), { cause: error });
  }
  return bytes;
}
