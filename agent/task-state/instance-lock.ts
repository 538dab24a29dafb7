/**
 * Keeps a second agent of the same toolchain T and instance I away from what belongs to the first.
 *
 * Whoever starts as T-I takes what it finds under that name for a dead predecessor's: it ends the machine, empties the
 * TFTP directories, and removes snapshots and network connection (recovery.ts). Two agents may share some of the places
 * and not the others, so each place has a lock of its own:
 *
 *     <spool>/<T>-<I>/lock
 *     <runtime>/<T>-<I>/lock
 *     <tftp>/build/<T>-<I>.lock        beside the directory: what is in there is served, and removed
 *     <machines>/.croft-<T>-<I>.lock   hidden, so that it is no volume
 *
 * The last of them also tells how many agents of a toolchain this host runs. The files stay. One that nobody has locked means nothing: the kernel releases the locks of whoever dies.
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import { assertFailure, Failure, isSystemError } from "../../os/failure.ts";
import { tryLockFile, type FileLock } from "../../os/files/flock.ts";
import type { Log } from "../../os/log.ts";
import { lockingProcesses } from "../../machines/locks.ts";
import { makeRuntimeDirectory } from "../../machines/runtime-directory.ts";
import { entriesIn, makeDirectory } from "../../os/files/directories.ts";
import { instanceName, type Settings } from "../settings/settings.ts";

/**
 * Locks all places of an instance, before anything in them is touched. The spool must be there.
 *
 * @throws {Failure} if another agent has one of them, or one cannot be used.
 */
export async function lockInstance(settings: Settings, log: Log): Promise<Disposable> {
  const name = instanceName(settings);
  const build = join(settings.tftp, "build");
  using locks = new DisposableStack();
  locks.use(lock(settings, join(settings.spool, name, "lock")));
  await makeRuntimeDirectory(settings.runtime);
  locks.use(lock(settings, join(settings.runtime, "lock")));
  await makeDirectory(build);
  locks.use(lock(settings, join(build, `${name}.lock`)));
  if (settings.fakeMachine === undefined) locks.use(lockMachines(settings, name, log));
  return locks.move();
}

function lock(settings: Settings, path: string): FileLock {
  const taken = tryLockFile(path);
  if (taken) return taken;
  throw new Failure(
    `start instance ${settings.instance} of toolchain ${settings.toolchain.name}`,
    `it is running already ('${path}' is locked)`,
    { hints: ["Give another number with --instance."] },
  );
}

/** An agent needs to write to the volumes only: the directory above them may be read-only, full, or another user's. */
function lockMachines(settings: Settings, name: string, log: Log): FileLock | undefined {
  try {
    return lock(settings, join(settings.machines, `.croft-${name}.lock`));
  } catch (error) {
    assertFailure(error);
    const bearable = ["EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT"];
    const isMissing = isSystemError(error.cause, "ENOENT", "ENOTDIR"); // which is told when it is needed
    if (!isMissing && !isSystemError(error.cause, ...bearable)) throw error;
    if (!isMissing)
      log.info({ reason: error.message }, "machines not locked against a second agent of this instance");
    return undefined;
  }
}

/** How many builds at a time a machine may serve: as many as agents run, if that was asked for. */
export function copiesOf({ machineCopies, machines, toolchain }: Settings): number {
  if (machineCopies !== "auto") return machineCopies;
  const prefix = `.croft-${toolchain.name}-`;
  const running = entriesIn(machines).filter(({ name }) => {
    if (!name.startsWith(prefix) || !/^[1-9]\d?\.lock$/.test(name.slice(prefix.length))) return false;
    const found = statSync(join(machines, name), { throwIfNoEntry: false });
    return found !== undefined && lockingProcesses(found.ino).length > 0;
  });
  return Math.max(1, running.length);
}
