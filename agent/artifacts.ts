/** Takes the artifacts out of a machine's `upload.tar`. The archive is hostile until shown otherwise. */
import { mkdir, open, rename, rm } from "node:fs/promises";
import type { ReadEntry } from "tar";
import { Failure, reasonOf } from "../host/failure.ts";

const entriesMax = 10_000;

/**
 * Extracts `upload/<type>/*` of an archive to `<directory>/<type>/*`, all or nothing.
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
      filter: (path) => files.has(normalize(path)),
      onReadEntry: (entry) => {
        entry.path = files.get(normalize(entry.path)) ?? entry.path;
        entry.mode = entry.type === "Directory" ? 0o700 : 0o600;
      },
    });
    await rename(temporary, directory);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {}); // the error before says enough
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

/** Reads the archive once without writing anything; gives each wanted path and where it goes, `<type>/<name>`. */
async function inspect(archive: string, maxBytes: number): Promise<Map<string, string>> {
  const tar = await import("tar");
  const files = new Map<string, string>();
  const targets = new Set<string>();
  let size = 0;
  let count = 0;
  let refused: string | undefined;
  const refuse = (reason: string) => (refused ??= reason);
  const look = (entry: ReadEntry) => {
    const path = normalize(entry.path);
    count++;
    size += entry.size;
    if (count > entriesMax) return refuse(`more than ${entriesMax} entries`);
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
    files.set(path, target);
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
