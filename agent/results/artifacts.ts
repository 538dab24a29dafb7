/** Takes the artifacts out of a machine's `upload.tar`. The archive is hostile until shown otherwise. */
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { ReadEntry } from "tar";
import { syncDirectory } from "../../os/files/durable.ts";
import { Failure, reasonOf } from "../../os/failure.ts";
import { uploadEntriesMax } from "../../manifests/limits.ts";

/** A file that is taken. */
interface WantedFile {
  /** Where it goes, `<type>/<name>`. */
  target: string;
  /** Counted, in bytes: what the headers say may contradict itself. */
  size: number;
}

/**
 * Extracts `upload/<type>/*` of an archive to `<directory>/<type>/*`, all or nothing; it then survives a crash of the host.
 *
 * Only plain files and directories are taken: an absolute path, `..`, a link, a device, or more than `maxBytes`
 * refuses the archive as a whole. A file in a folder deeper down gets its path as its name, `/` replaced by `-`.
 *
 * @throws {Failure} saying what is wrong with the archive.
 */
export async function extractArtifacts(archive: string, directory: string, maxBytes: number): Promise<void> {
  const tar = await import("tar");
  const temporary = `${directory}.new`;
  try {
    await plain(archive);
    const files = await inspect(archive, maxBytes);
    await rm(temporary, { recursive: true, force: true });
    await rm(directory, { recursive: true, force: true });
    await mkdir(temporary, { recursive: true, mode: 0o700 });
    await tar.extract({
      file: archive,
      cwd: temporary,
      strict: true,
      // Ownership, modes and times of the guest mean nothing here.
      preserveOwner: false,
      noMtime: true,
      // A directory of a file's name would take its place; those that files need are made anyway.
      filter: (path, entry) => !("type" in entry && entry.type === "Directory") && files.has(normalize(path)),
      onReadEntry: (entry) => {
        entry.path = files.get(normalize(entry.path))?.target ?? entry.path;
        entry.mode = 0o600;
      },
    });
    await secure(temporary, [...files.values()]);
    await rename(temporary, directory);
    await syncDirectory(dirname(directory));
  } catch (error) {
    for (const path of [temporary, directory])
      await rm(path, { recursive: true, force: true }).catch(() => {}); // the error before says enough
    throw new Failure("extract 'upload.tar'", reasonOf(error), { cause: error });
  }
}

/** Refuses compressed archives: their size means nothing. Magic numbers of POSIX tar, gzip and zstd. */
async function plain(archive: string): Promise<void> {
  const file = await open(archive);
  try {
    const head = Buffer.alloc(262);
    await file.read(head, 0, head.length, 0);
    const compressed = head.readUInt16BE(0) === 0x1f8b || head.readUInt32BE(0) === 0x28b52ffd;
    if (compressed || head.toString("latin1", 257) !== "ustar")
      throw new Error("it is no uncompressed POSIX tar archive");
  } finally {
    await file.close();
  }
}

/**
 * Makes sure that all is on the disk. The file system may take a part of a write only when it gets full, and tar's
 * writer does not notice; it appends, so that a file of the right size has all of its bytes.
 */
async function secure(directory: string, files: readonly WantedFile[]): Promise<void> {
  for (const { target, size } of files) {
    const file = await open(join(directory, target));
    try {
      const { size: written } = await file.stat();
      if (written !== size)
        throw Object.assign(new Error(`only ${written} of ${size} bytes written`), { code: "ENOSPC" });
      await file.sync();
    } finally {
      await file.close();
    }
  }
  const types = new Set(files.map(({ target }) => join(directory, dirname(target))));
  for (const path of [...types, directory]) await syncDirectory(path);
}

/** Reads the archive once without writing anything; gives what is wanted of it, by path in it. */
async function inspect(archive: string, maxBytes: number): Promise<Map<string, WantedFile>> {
  const tar = await import("tar");
  const files = new Map<string, WantedFile>();
  const targets = new Set<string>();
  let size = 0;
  let count = 0;
  let refused: string | undefined;
  const refuse = (reason: string) => (refused ??= reason);
  const look = (entry: ReadEntry) => {
    const path = normalize(entry.path);
    count++;
    size += entry.size;
    if (count > uploadEntriesMax) return refuse(`more than ${uploadEntriesMax} entries`);
    if (size > maxBytes) return refuse(`its content exceeds ${maxBytes} bytes`);
    if (!safe(path)) return refuse(`entry ${JSON.stringify(path)} leaves the upload directory`);
    if (entry.type === "Directory") return undefined;
    if (!["File", "OldFile", "ContiguousFile"].includes(entry.type))
      return refuse(`entry ${JSON.stringify(path)} is a ${entry.type}`);
    const [, type, name] = /^upload\/([^/]+)\/(.+)$/s.exec(path) ?? [];
    if (type === undefined || name === undefined) return undefined; // not under upload/<type>/: not ours
    if (!/^[A-Za-z0-9_.+-]+$/.test(type)) return refuse(`${JSON.stringify(type)} is no artifact type`);
    const target = `${type}/${name.replaceAll("/", "-")}`;
    if (targets.has(target)) return refuse(`two entries become ${JSON.stringify(target)}`);
    targets.add(target);
    const file = { target, size: 0 };
    files.set(path, file);
    entry.on("data", (chunk) => (file.size += chunk.length));
    return undefined;
  };
  await tar.list({ file: archive, strict: true, onReadEntry: look });
  if (refused !== undefined) throw new Error(refused);
  return files;
}

function normalize(path: string): string {
  return path.replace(/^(\.\/)+/, "").replace(/\/+$/, "");
}

function safe(path: string): boolean {
  if (path === "" || path === ".") return true;
  return (
    !path.startsWith("/") &&
    !/[\\\0]/.test(path) &&
    path.split("/").every((part) => part !== "" && part !== "." && part !== "..")
  );
}
