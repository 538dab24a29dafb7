import { closeSync, constants, fchmodSync, fstatSync, openSync, statSync } from "node:fs";
import { Failure, isSystemError, reasonOf } from "../failure.ts";
import { lastError, libc } from "../libc.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;
// In process: 0.6 µs a call, where a flock(1) child costs 2.4 ms and leaves its own pid in /proc/locks.
const flock = libc.func("int flock(int, int)");

/** A kernel `flock(2)` on a file, exclusive; it vanishes with its holder, however that dies. */
export interface FileLock extends Disposable {
  readonly path: string;
  /** Descriptor of the locked file, for reading and writing it; close-on-exec. */
  readonly fd: number;
}

/**
 * Tries to lock a file (made if it is not there); never waits.
 *
 * Whoever removes the file may not split the lock: the descriptor's inode must be the path's, else it is tried
 * again. The file stays when the lock is disposed of.
 *
 * @returns undefined if another process holds it.
 * @throws {Failure} if the file cannot be opened or locked.
 */
export function tryLockFile(path: string): FileLock | undefined {
  for (;;) {
    const fd = open(path);
    let keep = false;
    try {
      if (flock(fd, LOCK_EX | LOCK_NB) !== 0) {
        const error = lastError();
        if (error === "EAGAIN") return undefined;
        if (error === "EINTR") continue;
        throw new Failure(`lock '${path}'`, `flock(2) failed with error ${error}`);
      }
      if (!isSameFile(fd, path)) continue;
      keep = true;
      return held(path, fd);
    } finally {
      if (!keep) closeSync(fd);
    }
  }
}

/** Whoever may but read the file can lock it, so it is closed to others; made by an earlier version it may not be. */
function open(path: string): number {
  try {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600); // Node opens with O_CLOEXEC
    const { uid, mode } = fstatSync(fd);
    if (uid === process.geteuid?.() && (mode & 0o077) !== 0) fchmodSync(fd, 0o600);
    return fd;
  } catch (error) {
    throw new Failure(`open lock '${path}'`, reasonOf(error), { cause: error });
  }
}

function isSameFile(fd: number, path: string): boolean {
  try {
    const [ours, theirs] = [fstatSync(fd), statSync(path)];
    return ours.ino === theirs.ino && ours.dev === theirs.dev;
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return false;
    throw error;
  }
}

function held(path: string, fd: number): FileLock {
  let open = true;
  return {
    path,
    fd,
    [Symbol.dispose]: () => {
      if (open) closeSync(fd);
      open = false;
    },
  };
}
