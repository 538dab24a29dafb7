/**
 * The machine lock: `flock(2)` on `M-T.lock`.
 *
 * It is tried (never waited for) only by a process that holds the toolchain lock; it may be released without that.
 * The file says who holds it: `<pid>` while bootstrapping or suspended, `<pid> <priority>` while performing a task.
 * It is written before the toolchain lock is released. So whoever fails to lock the machine, and therefore holds the
 * toolchain lock, reads a complete line. The one change made without the toolchain lock, from `<pid> <priority>` to
 * `<pid>`, is a truncation: a reader sees one or the other, never half a number.
 *
 * The file stays when the lock is released: removing it would let one process lock the removed file and another its
 * successor. Others may remove it all the same; os/files/flock.ts compares inodes for that.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeSync,
} from "node:fs";
import { Failure, isSystemError, reasonOf } from "../os/failure.ts";
import { tryLockFile, type FileLock } from "../os/files/flock.ts";
import type { MachinePaths } from "./layout.ts";
import type { ToolchainLock } from "./toolchain-lock.ts";

/** Another process that holds a machine lock; without pid: it did not say who it is, and must not be signalled. */
export interface Holder {
  readonly pid?: number;
  /** Priority of its task; absent while bootstrapping or suspended, which is never interrupted. */
  readonly priority?: number;
}

/** A machine, or one of its copies, that this process has locked. */
export interface MachineHold extends Disposable {
  readonly paths: MachinePaths;
  /**
   * Says that this process bootstraps (no priority) or performs a task; before the toolchain lock is released.
   *
   * @throws {Failure} if it cannot be written.
   */
  write(toolchainLock: ToolchainLock, priority?: number): void;
  /** Says that the task is suspended; needs no toolchain lock. */
  truncate(): void;
}

/** The lock of a machine's copy that this process holds. */
export class MachineLock implements MachineHold {
  readonly paths: MachinePaths;
  #file: FileLock | undefined;
  #written = false;

  constructor(paths: MachinePaths, file: FileLock | undefined) {
    this.paths = paths;
    this.#file = file;
    try {
      if (file && fstatSync(file.fd).size > 0) ftruncateSync(file.fd, 0); // the line of a holder that crashed
    } catch {
      // On a full disk it stays: nobody believes it, as the kernel knows another holder.
    }
  }

  write(toolchainLock: ToolchainLock, priority?: number): void {
    toolchainLock.assertHeld();
    if (!this.#file) return;
    const pid = String(process.pid);
    const line = priority === undefined ? pid : `${pid} ${String(priority).padStart(4, "0")}`;
    this.#written = true;
    this.#change("write", (fd) => {
      ftruncateSync(fd, 0);
      writeSync(fd, line, 0);
    });
  }

  truncate(): void {
    if (!this.#file || !this.#written) return;
    this.#change("truncate", (fd) => ftruncateSync(fd, String(process.pid).length));
  }

  #change(verb: string, change: (fd: number) => void): void {
    try {
      change(this.#file!.fd);
    } catch (error) {
      throw new Failure(`${verb} machine lock '${this.paths.lock}'`, reasonOf(error), { cause: error });
    }
  }

  [Symbol.dispose](): void {
    const file = this.#file;
    this.#file = undefined;
    if (!file) return;
    using _ = file;
    try {
      if (this.#written) ftruncateSync(file.fd, 0);
    } catch {
      // The next one to lock it truncates it.
    }
  }
}

/**
 * Tries to lock a machine, or the copy that the paths mean.
 *
 * @returns the lock, or who holds it.
 * @throws {Failure} if the lock file cannot be used; with `cause` `ENOENT` if the machine's directory is gone.
 */
export function tryMachineLock(toolchainLock: ToolchainLock, paths: MachinePaths): MachineLock | Holder {
  toolchainLock.assertHeld();
  const file = tryLockFile(paths.lock);
  return file ? new MachineLock(paths, file) : readHolder(paths.lock);
}

/** A lock that locks nothing, of a machine that is not there. */
export function fakeMachineLock(paths: MachinePaths): MachineLock {
  return new MachineLock(paths, undefined);
}

/**
 * Reads who holds the lock on a file. Only a process that the kernel knows as its holder is believed: the line may
 * be that of a crashed one, while `flock(1)` holds the file.
 */
export function readHolder(path: string): Holder {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY);
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENOTDIR")) return {};
    throw new Failure(`read lock '${path}'`, reasonOf(error), { cause: error });
  }
  try {
    const bytes = Buffer.alloc(64);
    const text = bytes.toString("latin1", 0, readSync(fd, bytes, 0, bytes.length, 0));
    const found = /^([1-9]\d{0,9})(?: (\d{1,5}))?\n?$/.exec(text);
    if (!found) return {};
    const pid = Number(found[1]);
    if (!lockingProcesses(fstatSync(fd).ino).includes(pid)) return {};
    return found[2] === undefined ? { pid } : { pid, priority: Number(found[2]) };
  } finally {
    closeSync(fd);
  }
}

/**
 * Looks, from outside of the protocol, who holds a lock: for people.
 *
 * @returns undefined if nobody does.
 * @throws {Failure} if the file is there but cannot be looked at.
 */
export function peekHolder(path: string): Holder | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return undefined;
  const [pid] = lockingProcesses(found.ino);
  let holder: Holder;
  try {
    holder = readHolder(path);
  } catch (error) {
    if (!(error instanceof Failure) || !isSystemError(error.cause, "EACCES")) throw error;
    return pid === undefined ? undefined : { pid }; // other users are told by the kernel
  }
  if (holder.pid !== undefined) return holder;
  if (pid === undefined) return undefined;
  // Perhaps the lock is on a file of another file system with the same inode: then ours can be had, for a moment.
  using free = tryLockFile(path);
  return free ? undefined : holder;
}

/** True if the kernel says that the process holds the flock on the file; to be asked before a holder is signalled. */
export function holdsLock(pid: number, path: string): boolean {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY);
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENOTDIR")) return false;
    throw new Failure(`read lock '${path}'`, reasonOf(error), { cause: error });
  }
  try {
    return lockingProcesses(fstatSync(fd).ino).includes(pid);
  } finally {
    closeSync(fd);
  }
}

/**
 * Pids with a flock on an inode, from `/proc/locks` (proc_locks(5)). Only inodes are compared: of btrfs files, the
 * device number there is another than that of stat(2).
 */
export function lockingProcesses(inode: number): number[] {
  const pids: number[] = [];
  for (const line of readFileSync("/proc/locks", "latin1").split("\n")) {
    const found = /^\d+: FLOCK +\S+ +WRITE (\d+) [0-9a-f]+:[0-9a-f]+:(\d+) /.exec(line);
    if (found && Number(found[2]) === inode) pids.push(Number(found[1]));
  }
  return pids;
}
