import { readFileSync } from "node:fs";
import { Failure, isSystemError, reasonOf } from "../os/failure.ts";
import { ManifestError } from "../manifests/error.ts";
import { parseBootstrappedMachine, type BootstrappedMachine } from "../manifests/bootstrapped-machine.ts";
import { parseMachine, type Machine } from "../manifests/machine.ts";
import { manifestPath, type MachinePaths } from "./layout.ts";

/**
 * Reads the manifest of a revision or a snapshot of one.
 *
 * @returns undefined if it is not there.
 * @throws {Failure} if it cannot be read, is malformed (with file, line and column), or is another machine's.
 */
export function readMachineManifest(paths: MachinePaths, subvolume: string): Machine | undefined {
  return readManifest(paths, subvolume, (bytes, source) => {
    const machine = parseMachine(bytes, { source });
    checkName(paths, machine, source);
    return machine;
  });
}

/**
 * Reads the manifest of the bootstrapped machine, or of a snapshot of it; values that a newer agent may have added are skipped.
 *
 * @returns undefined if it is not there.
 * @throws {Failure} as {@link readMachineManifest}.
 */
export function readBootstrappedManifest(
  paths: MachinePaths,
  subvolume = paths.bootstrapped,
): BootstrappedMachine | undefined {
  return readManifest(paths, subvolume, (bytes, source) => {
    const bootstrapped = parseBootstrappedMachine(bytes, { source, lenient: true });
    checkName(paths, bootstrapped.machine, source);
    return bootstrapped;
  });
}

function readManifest<T>(
  paths: MachinePaths,
  subvolume: string,
  parse: (bytes: Uint8Array, source: string) => T,
): T | undefined {
  const path = manifestPath(subvolume);
  try {
    return parse(readFileSync(path), path);
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENOTDIR")) return undefined;
    if (error instanceof Failure) throw error;
    if (error instanceof ManifestError)
      throw new Failure(`use machine '${paths.name}'`, error.message, { cause: error });
    if (!isSystemError(error, "EACCES", "EPERM", "EIO", "EISDIR", "ELOOP", "ESTALE")) throw error;
    throw new Failure(`read '${path}'`, reasonOf(error), { cause: error });
  }
}

function checkName(paths: MachinePaths, machine: Machine, source: string): void {
  if (machine.name !== paths.name)
    throw new Failure(
      `use machine '${paths.name}'`,
      `the manifest '${source}' names machine '${machine.name}'`,
    );
}

/**
 * Reads a manifest that an operator names on the command line.
 *
 * @param what e.g. `the task`, for the message.
 * @throws {Failure} if it cannot be read or is malformed (with file, line and column).
 */
export function readNamedManifest<T>(
  file: string,
  what: string,
  parse: (text: Uint8Array, options: { source: string }) => T,
): T {
  try {
    return parse(readFileSync(file), { source: file });
  } catch (error) {
    const reason = error instanceof ManifestError ? error.message : reasonOf(error);
    throw new Failure(`use ${what} '${file}'`, reason, { cause: error });
  }
}
