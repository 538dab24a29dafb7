/**
 * Where things lie (`<machines>/<volume>/<machine>/`, for machine `M`, protocol `P`, toolchain `T`, instance `I`):
 *
 *     M-P.R         revision R of the machine; never written once it has this name
 *     M-P           symbolic link to the current revision; switching it publishes another one
 *     M-T           the machine bootstrapped for toolchain T; appears and disappears whole, by rename
 *     M-T/warm/     the state of M-T booted up to where it waits for a task (warm/); appears and disappears whole
 *     M-T.lock      the machine lock (locks.ts): that of its first copy
 *     M-T-K.lock    the lock of copy K, from 2 on (copies.ts)
 *     M-T-I-xxxxxx  a temporary snapshot of instance I
 *     .*.removed    a tree whose removal was begun
 *
 * After a crash at any point, all but the last two are complete; those are cleaned up at the next start (stale.ts).
 */
import { readdirSync, readlinkSync, type Dirent } from "node:fs";
import { join, resolve } from "node:path";
import { Failure, isSystemError, reasonOf } from "../os/failure.ts";

/** The version of the exchange between agent and machine while bootstrapping: `P` in the names. */
export const bootstrapProtocol = 1;

/** Name of the directory with the saved state, in a bootstrapped machine. */
export const warmName = "warm";

/** Paths of a machine for one toolchain. */
export interface MachinePaths {
  readonly volume: string;
  /** Name of the machine. */
  readonly name: string;
  readonly toolchain: string;
  /** `<machines>/<volume>/M` */
  readonly directory: string;
  /** `…/M-P`, the link to the current revision. */
  readonly current: string;
  /** `…/M-T` */
  readonly bootstrapped: string;
  /** Which of the machine's copies is meant, where that matters: 1 is the machine as it always was. */
  readonly copy: number;
  /** `…/M-T.lock`, or `…/M-T-K.lock` of copy K. */
  readonly lock: string;
}

/** Paths of a machine in a volume of the machines directory. */
export function machinePaths(
  machines: string,
  volume: string,
  name: string,
  toolchain: string,
): MachinePaths {
  const directory = join(machines, volume, name);
  const bootstrapped = join(directory, `${name}-${toolchain}`);
  return {
    volume,
    name,
    toolchain,
    directory,
    current: join(directory, `${name}-${bootstrapProtocol}`),
    bootstrapped,
    copy: 1,
    lock: `${bootstrapped}.lock`,
  };
}

/** The same machine, as one of its copies: only the lock is another. */
export function copyPaths(paths: MachinePaths, copy: number): MachinePaths {
  const tail = copy === 1 ? "" : `-${copy}`;
  return { ...paths, copy, lock: `${paths.bootstrapped}${tail}.lock` };
}

/** `…/M-P.R` */
export function revisionPath(paths: MachinePaths, revision: number): string {
  return `${paths.current}.${revision}`;
}

/** The file with the manifest in a revision, a bootstrapped machine, or a snapshot. */
export function manifestPath(subvolume: string): string {
  return join(subvolume, "manifest");
}

/**
 * Lists the machines, by volume and name. Hidden entries, other than directories, and symbolic links are ignored
 * on both levels; what disappears meanwhile was not there.
 *
 * @throws {Failure} if a directory cannot be read.
 */
export function listMachines(machines: string, toolchain: string): MachinePaths[] {
  const found: MachinePaths[] = [];
  for (const volume of directoriesIn(machines, true))
    for (const name of directoriesIn(join(machines, volume), false))
      found.push(machinePaths(machines, volume, name, toolchain));
  return found;
}

function directoriesIn(path: string, mustExist: boolean): string[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(path, { withFileTypes: true });
  } catch (error) {
    if (!mustExist && isSystemError(error, "ENOENT", "ENOTDIR")) return [];
    throw new Failure(`list machines in '${path}'`, reasonOf(error), {
      cause: error,
      hints: isSystemError(error, "ENOENT")
        ? ["croft machine create makes it, with a first machine; --machines DIR names another one."]
        : [],
    });
  }
  return visibleDirectories(entries);
}

/** Names of the entries that may be volumes or machines, sorted: directories that are not hidden. */
export function visibleDirectories(entries: readonly Dirent[]): string[] {
  return entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
    .map((entry) => entry.name)
    .sort();
}

/**
 * Resolves the link `M-P`: the path of the current revision (which need not be there), or undefined if there is no
 * link.
 *
 * @throws {Failure} if it is something else than a link, or cannot be read.
 */
export function currentRevision(paths: MachinePaths): string | undefined {
  try {
    return resolve(paths.directory, readlinkSync(paths.current));
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENOTDIR")) return undefined;
    const reason = isSystemError(error, "EINVAL") ? "it is not a symbolic link" : reasonOf(error);
    throw new Failure(`find the current revision of machine '${paths.name}' at '${paths.current}'`, reason, {
      cause: error,
      hints: [`Make it a link to a revision: ln -sfn ${paths.name}-${bootstrapProtocol}.R ${paths.current}`],
    });
  }
}
