/**
 * What the archive of a working tree may be: tar, compressed by gzip, with nothing in it that would land outside of where it is
 * unpacked. The controller unpacks none; machines do, which are thrown away. It is looked at all the same as it arrives, so that
 * who sends a wrong one is told so at once, and not by builds that fail.
 */
import type { ReadEntry } from "tar";
import { treeMost } from "../../manifests/limits.ts";
import { Failure, reasonOf } from "../../os/failure.ts";
import { formatBytes } from "../../os/text/size.ts";
import { visible } from "../../os/text/visible.ts";

/** A working tree that is not taken, and the status of the answer. */
export class TreeFailure extends Failure {
  readonly status: number;

  constructor(reason: string, status = 400) {
    super("take the working tree", reason);
    this.status = status;
  }
}

/** How its bytes begin; the reader would take others, too. */
const gzipMagic = [0x1f, 0x8b];

/** Passes an archive on, a piece at a time. @throws {TreeFailure} at the latest when all of it has been passed on. */
export async function* checkedArchive(archive: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const { Parser } = await import("tar");
  const entries = new Entries();
  let problem: TreeFailure | undefined;
  const ended = Promise.withResolvers<void>();
  const fail = (error: unknown) => {
    problem ??=
      error instanceof TreeFailure ? error : new TreeFailure(`it is no archive (${reasonOf(error)})`);
    ended.resolve();
  };
  const parser = new Parser({
    strict: true,
    onReadEntry: (entry) => {
      try {
        entries.check(entry);
      } catch (error) {
        fail(error);
      }
      entry.resume();
    },
  });
  parser.on("error", fail);
  parser.on("end", ended.resolve);
  let bytes = 0;
  for await (const piece of archive) {
    if (!gzipMagic.every((byte, at) => at < bytes || (piece[at - bytes] ?? byte) === byte))
      throw new TreeFailure("it is no archive that gzip has compressed");
    bytes += piece.length;
    if (bytes > treeMost.archiveBytes) throw tooLarge();
    parser.write(piece);
    if (problem) throw problem;
    yield piece;
  }
  parser.end();
  await ended.promise;
  if (problem) throw problem;
}

function tooLarge(): TreeFailure {
  return new TreeFailure(`it is larger than ${formatBytes(treeMost.archiveBytes)}`, 413);
}

const types: ReadonlySet<string> = new Set([
  ...["File", "OldFile", "ContiguousFile", "Directory", "SymbolicLink", "Link"],
]);

/** Those that were seen. */
class Entries {
  #count = 0;
  #bytes = 0;
  readonly #links = new Set<string>();

  check({ path, type, size, linkpath = "" }: ReadEntry): void {
    this.#count++;
    this.#bytes += size;
    if (this.#count > treeMost.entries)
      throw new TreeFailure(`there are more than ${treeMost.entries} files in it`, 413);
    if (this.#bytes > treeMost.contentBytes)
      throw new TreeFailure(`there is more than ${formatBytes(treeMost.contentBytes)} in it`, 413);
    if (!types.has(type)) throw new TreeFailure(`'${visible(path)}' in it is no file, directory or link`);
    this.#checkPath(path);
    if (type === "Link") this.#checkPath(linkpath);
    if (type === "SymbolicLink") this.#links.add(parts(path).join("/"));
  }

  /** A path below where it is unpacked, whatever links there are. */
  #checkPath(path: string): void {
    const names = parts(path);
    const isOutside = path.startsWith("/") || path.includes("\0") || names.includes("..");
    if (isOutside) throw new TreeFailure(`'${visible(path)}' in it leads out of the directory`);
    for (let end = 1; end < names.length; end++)
      if (this.#links.has(names.slice(0, end).join("/")))
        throw new TreeFailure(`'${visible(path)}' in it lies behind a symbolic link`);
  }
}

function parts(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}
