/**
 * The saved state of a bootstrapped machine: `M-T/warm/`, with its memory (`ram`), the state of its devices (`device`), the
 * disks of that instant, and what it belongs to (`state.json`).
 *
 * It appears and disappears whole, under the machine's lock: made under a hidden name (names.ts), complete and on the disk
 * before it gets its own. Nothing of a task is ever in it. It counts only if everything is as it was when it was saved, down
 * to the times of its files; whoever finds a difference boots the machine, and nothing is lost but time. M-T's own disks
 * stay as the bootstrap has left them: they are what is booted.
 *
 * The directory is closed to everybody but the agent's user, and so are its files. Hypervisors that run as another user get a
 * clone of the memory (own-memory.ts).
 */
import { existsSync, fstatSync, readdirSync, readFileSync, statSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import { syncDirectory } from "../../os/files/durable.ts";
import { warmName, type MachinePaths } from "../layout.ts";
import { isDisk, newStateName } from "../names.ts";
import { syncTree } from "../sync-tree.ts";

export const ramName = "ram";
export const deviceName = "device";
const stateName = "state.json";
/** In the bootstrapped machine: why there is no saved state. */
const reasonName = "warm-failure";
/** In a machine's directory, or in a revision: the machine is not to be saved. */
const refusalName = "no-warm";
/** In the bootstrapped machine: why it must not be saved, by its own worker; until it is bootstrapped anew. */
const unfitName = "warm-refused";
const format = 1;
const reasonMaxChars = 2000;

/** What a saved state belongs to. */
export interface Belonging {
  machineId: string;
  toolchainId: string;
  worker: string;
  /** Which program the hypervisor is, and which content of it. */
  hypervisor: string;
  /** Processors and, under KVM, which; memory, and which network. */
  resources: string;
}

export interface WarmState extends Belonging {
  format: typeof format;
  /** Version of the hypervisor, as it says. */
  version: string;
  /** What the guest sees of how it was started. */
  options: readonly string[];
  /** How long it took to boot, in seconds: no restoring is waited for longer. */
  bootSeconds: number;
  /** The files of the state, and those of the machine that it is based on. */
  files: Record<string, string>;
  base: Record<string, string>;
}

/** A state that counts; or why there is none. `isLost`: there is one, which does not count. */
export type Found = { state: WarmState } | { reason: string; isLost: boolean };

/** The directory of the saved state. */
export function warmDirectory({ bootstrapped }: Pick<MachinePaths, "bootstrapped">): string {
  return join(bootstrapped, warmName);
}

/** Why a machine is not to be saved: an operator has said so, or its worker; undefined if it may be. */
export function refusalOf({ directory, bootstrapped }: MachinePaths): string | undefined {
  if ([directory, bootstrapped].some((path) => existsSync(join(path, refusalName))))
    return `there is a file '${refusalName}'`;
  return reasonIn(join(bootstrapped, unfitName));
}

/** Takes note that a machine must not be saved, whoever tries. */
export async function refuseState({ bootstrapped }: MachinePaths, reason: string): Promise<void> {
  await writeFile(join(bootstrapped, unfitName), `${reason}\n`, { mode: 0o644 });
}

/**
 * Looks at the saved state of a machine.
 *
 * @param belonging what it must belong to, as far as that is known.
 */
export function findState(paths: MachinePaths, belonging: Partial<Belonging> = {}): Found {
  const directory = warmDirectory(paths);
  let text: string;
  try {
    text = readFileSync(join(directory, stateName), "utf8");
  } catch (error) {
    if (isSystemError(error, "ENOENT") && !existsSync(directory))
      return {
        reason: reasonIn(join(paths.bootstrapped, reasonName)) ?? "it has not been saved yet",
        isLost: false,
      };
    return { reason: `its state cannot be read: ${reasonOf(error)}`, isLost: true };
  }
  try {
    const state = JSON.parse(text) as WarmState;
    if (state.format !== format)
      return { reason: "its state was saved by another version of croft", isLost: true };
    const reason = differenceFrom(state, belonging) ?? changedFile(state, paths);
    return reason === undefined ? { state } : { reason, isLost: true };
  } catch (error) {
    return { reason: `its state cannot be used: ${reasonOf(error)}`, isLost: true };
  }
}

const belongings: Record<keyof Belonging, string> = {
  machineId: "the machine",
  toolchainId: "the toolchain",
  worker: "the worker",
  hypervisor: "QEMU",
  resources: "the network, or what it is given of processors, memory or caches",
};

function differenceFrom(state: WarmState, belonging: Partial<Belonging>): string | undefined {
  for (const [key, what] of Object.entries(belongings) as [keyof Belonging, string][])
    if (belonging[key] !== undefined && belonging[key] !== state[key])
      return `${what} has changed since it was saved`;
  return undefined;
}

function changedFile({ files, base }: WarmState, paths: MachinePaths): string | undefined {
  const directory = warmDirectory(paths);
  if (files[ramName] === undefined || files[deviceName] === undefined) return "its state is incomplete";
  for (const [name, identity] of Object.entries(files)) {
    const found = fileIdentity(join(directory, name));
    if (found === undefined) return `'${warmName}/${name}' is missing`;
    if (found !== identity) return `'${warmName}/${name}' has changed since it was saved`;
  }
  for (const [name, identity] of Object.entries(base))
    if (baseIdentityOf(join(paths.bootstrapped, name)) !== identity)
      return `'${name}' has changed since it was saved`;
  return undefined;
}

/** What tells whether a file is still as it was: its change time tells of every write, whatever else the writer sets. */
export function fileIdentity(file: string | number): string | undefined {
  const found =
    typeof file === "number"
      ? fstatSync(file, { bigint: true })
      : statSync(file, { bigint: true, throwIfNoEntry: false });
  return found && [found.ino, found.size, found.mtimeNs, found.ctimeNs].join(" ");
}

/** Without the change time, as snapshots of tasks may link to the file. */
function baseIdentityOf(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found && [found.ino, found.size, found.mtimeNs].join(" ");
}

/** A machine whose state failed, or could not be made, is left alone for so long. */
const failurePauseSeconds = 3600;
/** Agents that do not agree about a machine are not to save it in turn. */
const stateLeastSeconds = 600;

/** Whether a machine without a state that counts is to be saved now, and not after a pause. */
export function isDue({ bootstrapped }: MachinePaths): boolean {
  const age = (path: string) => {
    const found = statSync(path, { throwIfNoEntry: false });
    return found ? (Date.now() - found.ctimeMs) / 1000 : Infinity;
  };
  const isOld = (seconds: number, pause: number) => seconds < 0 || seconds > pause; // a clock may have been set
  return (
    isOld(age(join(bootstrapped, reasonName)), failurePauseSeconds) &&
    isOld(age(join(bootstrapped, warmName, stateName)), stateLeastSeconds)
  );
}

function reasonIn(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").slice(0, reasonMaxChars).trim() || undefined;
  } catch {
    return undefined;
  }
}

/**
 * Gives a complete state its name, in place of another one.
 *
 * @param made its directory, beside the one that it becomes.
 * @throws {Failure} if that fails; there is no state then, or the old one.
 */
export async function publishState(
  paths: MachinePaths,
  instance: number,
  made: string,
  about: Omit<WarmState, "format" | "files" | "base">,
): Promise<void> {
  const names = readdirSync(made);
  const base = readdirSync(paths.bootstrapped).filter(
    (name) => isDisk(name) || /^(kernel|initrd|cmdline)$/.test(name),
  );
  const state: WarmState = {
    ...{ format, ...about },
    files: Object.fromEntries(names.map((name) => [name, fileIdentity(join(made, name))!])),
    base: Object.fromEntries(base.map((name) => [name, baseIdentityOf(join(paths.bootstrapped, name))!])),
  };
  try {
    await writeFile(join(made, stateName), `${JSON.stringify(state, null, 1)}\n`, { mode: 0o600 });
    await syncTree(made);
    await removeState(paths, instance);
    await rm(join(paths.bootstrapped, reasonName), { force: true });
    await rename(made, warmDirectory(paths));
    await syncDirectory(paths.bootstrapped);
  } catch (error) {
    throw new Failure(`keep the state of machine '${paths.name}'`, reasonOf(error), { cause: error });
  }
}

/**
 * Removes a saved state, and notes why.
 *
 * @param instance whose name it has while it is removed, so that the same one finishes that after a crash.
 */
export async function removeState(paths: MachinePaths, instance: number, reason?: string): Promise<void> {
  if (reason !== undefined)
    await writeFile(join(paths.bootstrapped, reasonName), `${reason}\n`, { mode: 0o644 });
  const away = join(paths.bootstrapped, newStateName(instance));
  try {
    await rename(warmDirectory(paths), away);
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return;
    throw error;
  }
  await rm(away, { recursive: true, force: true });
}

/** Tells one saved state of a machine from the next; undefined if there is none. */
export function stateIdentity(paths: MachinePaths): string | undefined {
  return fileIdentity(join(warmDirectory(paths), stateName));
}

/** Bytes that a saved state takes on the disk; undefined if there is none, or it is not ours to read. */
export function stateSize(paths: MachinePaths): number | undefined {
  try {
    const directory = warmDirectory(paths);
    const files = readdirSync(directory).map((name) => statSync(join(directory, name)).blocks * 512);
    return files.reduce((sum, bytes) => sum + bytes, 0);
  } catch {
    return undefined;
  }
}
