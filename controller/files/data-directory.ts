/**
 * The data directory:
 *
 * * `lock`: held by the one controller that uses the directory; names it;
 * * `control.sock`: for commands of the host's administrator;
 * * `database/`: the embedded database;
 * * `blobs/`: logs and artifacts of results, by content hash; a file is complete once it has its name;
 * * `logs/`: live logs, one file a session, appended to while it builds;
 * * `incoming/`: files being received; emptied at start, or of what is a day old where controllers share it;
 * * `rejected/`: results that could not be read, the newest few.
 *
 * All of it is for the controller's user alone: the database has what repositories and agents are known by. A
 * directory that others can look into is closed at start.
 *
 * After a crash: the database knows what was acknowledged; blobs without a row are waste, never the other way round.
 */
import { existsSync, ftruncateSync, readFileSync, writeSync } from "node:fs";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import lockfile from "proper-lockfile";
import { syncDirectory } from "../../os/files/durable.ts";
import { Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import { tryLockFile } from "../../os/files/flock.ts";
import { closeDirectory } from "../../os/files/private.ts";
import type { Log } from "../../os/log.ts";

/** A data directory in use; disposing of it lets another controller have it. */
export interface DataDirectory extends AsyncDisposable {
  readonly path: string;
  readonly database: string;
  readonly blobs: string;
  readonly logs: string;
  readonly incoming: string;
  readonly rejected: string;
}

/**
 * Makes the directory if needed.
 *
 * @param exclusive false where a database server lets several controllers share the directory.
 * @throws {Failure} naming the holder, if another controller uses it.
 */
export async function openDataDirectory(path: string, exclusive: boolean, log: Log): Promise<DataDirectory> {
  const at = (name: string) => join(path, name);
  const directories = {
    blobs: at("blobs"),
    logs: at("logs"),
    incoming: at("incoming"),
    rejected: at("rejected"),
  };
  try {
    await makeDirectory(path);
    if (await closeDirectory(path))
      log.warn(
        { directory: path },
        "the data directory was open to other users; it is closed now, with all in it",
      );
    for (const directory of Object.values(directories))
      await mkdir(directory, { recursive: true, mode: 0o700 });
    await syncDirectory(path);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(`use data directory '${path}'`, reasonOf(error), { cause: error });
  }
  await using stack = new AsyncDisposableStack();
  if (exclusive) {
    await hold(path, log, stack);
    await rm(directories.incoming, { recursive: true, force: true });
    await mkdir(directories.incoming, { mode: 0o700 });
  }
  const held = stack.move();
  return { path, database: at("database"), ...directories, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** Removes files that were being received, and have not changed since. Of a directory that is shared nobody else does. */
export async function clearIncoming(
  { incoming }: Pick<DataDirectory, "incoming">,
  before: Date,
): Promise<void> {
  for (const name of await readdir(incoming)) {
    const path = join(incoming, name);
    const found = await stat(path).catch(() => undefined);
    if (found && found.mtime < before) await rm(path, { recursive: true, force: true });
  }
}

/** Not recursive at once: that never ends where the parent is there and nothing can be made in it, as in /proc. */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (isSystemError(error, "EEXIST")) return;
    if (!isSystemError(error, "ENOENT") || existsSync(dirname(path))) throw error;
    await makeDirectory(dirname(path));
    await mkdir(path, { mode: 0o700 });
  }
  await syncDirectory(dirname(path));
}

/**
 * Two locks: the kernel's decides on this host, at once and without ever going stale; the one beside it is for
 * file systems over a network where the kernel's may be of one host only.
 */
async function hold(path: string, log: Log, stack: AsyncDisposableStack): Promise<void> {
  const lockPath = join(path, "lock");
  const previous = readHolder(lockPath);
  const lock = tryLockFile(lockPath);
  if (!lock)
    throw new Failure(
      `use data directory '${path}'`,
      `another controller holds it (${readHolder(lockPath) ?? "unknown"})`,
      {
        hints: ["Stop that controller first, or choose another directory with --data."],
      },
    );
  stack.use(lock);
  // A dead controller of this host left its second lock behind: the kernel's has just proved it dead.
  const second = `${lockPath}.d`;
  if (previous?.endsWith(` on ${thisHost()}`)) await rm(second, { recursive: true, force: true });
  try {
    const release = await lockfile.lock(lockPath, {
      lockfilePath: second,
      retries: { retries: 12, minTimeout: 1000, maxTimeout: 1000, factor: 1 },
      onCompromised: (error) => log.error({ err: error }, "the second lock of the data directory was lost"),
    });
    stack.defer(() => release().catch(() => {}));
  } catch (error) {
    if (!isSystemError(error, "ELOCKED"))
      throw new Failure(`lock '${path}'`, reasonOf(error), { cause: error });
    throw new Failure(
      `use data directory '${path}'`,
      `another controller holds it (${previous ?? "unknown"})`,
    );
  }
  ftruncateSync(lock.fd);
  writeSync(lock.fd, `pid ${process.pid} on ${thisHost()}\n`, 0);
}

/** Not by its name alone: containers on several hosts may share one. A kernel has a new id after each start. */
function thisHost(): string {
  return `${hostname()}, boot ${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}`;
}

function readHolder(lockPath: string): string | undefined {
  try {
    return readFileSync(lockPath, "utf8").trim() || undefined;
  } catch {
    return undefined;
  }
}
