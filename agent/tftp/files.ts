import { constants } from "node:fs";
import { lstat, open, readlink, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isSystemError } from "../../os/failure.ts";
import errors from "tftp/lib/protocol/errors.js";
import { TftpRefusal } from "./request.ts";

/** A file to read from, held open so that it stays what it was when its size was told. */
export interface ReadableFile {
  handle: {
    read(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
    close(): Promise<void>;
  };
  sizeBytes: number;
}

/** A file that is in memory alone. */
export function memoryFile(bytes: Uint8Array): ReadableFile {
  const read = async (buffer: Buffer, offset: number, length: number, position: number) => {
    const piece = bytes.subarray(position, position + length);
    buffer.set(piece, offset);
    return { bytesRead: piece.length };
  };
  return { handle: { read, close: async () => {} }, sizeBytes: bytes.length };
}

/**
 * Opens a regular file below a directory (an absolute path without symbolic links).
 *
 * Where the file really lies is asked of the descriptor, after opening: whatever symbolic links led there, and
 * whoever changes them meanwhile, nothing outside is read. Not waiting for the other end of a named pipe.
 *
 * @throws {TftpRefusal}
 */
export async function openReadable(root: string, name: string): Promise<ReadableFile> {
  const handle = await refusing(() => open(join(root, name), constants.O_RDONLY | constants.O_NONBLOCK));
  try {
    const [stat, path] = await refusing(() =>
      Promise.all([handle.stat(), readlink(`/proc/self/fd/${handle.fd}`)]),
    );
    if (!stat.isFile() || !isBelow(root, path)) throw new TftpRefusal(errors.EACCESS);
    return { handle, sizeBytes: stat.size };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * The path that an upload is to replace. Directories are not made for it.
 *
 * @throws {TftpRefusal}
 */
export async function findTarget(root: string, name: string): Promise<string> {
  const parent = await refusing(() => realpath(dirname(join(root, name))));
  if (parent !== root && !isBelow(root, parent)) throw new TftpRefusal(errors.EACCESS);
  const target = join(parent, basename(name));
  const present = await refusing(async () => {
    try {
      return await lstat(target);
    } catch (error) {
      if (isSystemError(error, "ENOENT")) return undefined;
      throw error;
    }
  });
  if (present?.isDirectory()) throw new TftpRefusal(errors.EACCESS);
  return target;
}

function isBelow(root: string, path: string): boolean {
  return path.startsWith(root === "/" ? root : root + "/");
}

/** Runs a file operation; a system error becomes the TFTP error that tells a client most. */
export async function refusing<T>(operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw toTftpRefusal(error);
  }
}

/** The TFTP error for a system error; anything else is a bug and thrown on. */
export function toTftpRefusal(error: unknown): TftpRefusal {
  if (error instanceof TftpRefusal) return error;
  if (isSystemError(error, "ENOENT", "ENOTDIR", "ENAMETOOLONG", "ENXIO"))
    return new TftpRefusal(errors.ENOENT);
  if (isSystemError(error, "EACCES", "EPERM", "EISDIR", "ELOOP", "EROFS", "ENOTEMPTY"))
    return new TftpRefusal(errors.EACCESS);
  if (isSystemError(error, "ENOSPC", "EDQUOT", "EFBIG")) return new TftpRefusal(errors.ENOSPC);
  if (isSystemError(error, "EMFILE", "ENFILE")) return new TftpRefusal(errors.EIO, "Server is busy");
  if (typeof (error as NodeJS.ErrnoException | null)?.code === "string") return new TftpRefusal(errors.EIO);
  throw error;
}
