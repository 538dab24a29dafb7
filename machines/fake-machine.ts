import { readFileSync } from "node:fs";
import { Failure, reasonOf } from "../host/failure.ts";
import { ManifestError } from "../manifests/error.ts";
import { parseMachineHeader } from "../manifests/machine.ts";
import { Enumeration } from "./enumeration.ts";
import { machinePaths } from "./layout.ts";
import { fakeMachineLock } from "./locks.ts";

/** MAC address of what is no machine. */
export const fakeMac = "de:ad:be:ef:de:ad";

/** Stands in a bootstrapped machine manifest for a toolchain id that was not given. */
export const bogusToolchainId = "bogus";

/**
 * One machine that is not there, ready and locked with a lock that locks nothing: for testing without machines.
 *
 * @param file a machine header manifest.
 * @throws {Failure} if the file cannot be read or is malformed.
 */
export function fakeEnumeration(file: string, toolchain: { name: string; id: string }): Enumeration {
  const header = readHeader(file);
  const paths = machinePaths("/nonexistent", "fake", header.name, toolchain.name);
  const enumeration = new Enumeration();
  enumeration.add({
    state: "locked",
    paths,
    lock: fakeMachineLock(paths),
    manifest: {
      machine: { ...header, type: "kvm", mac: fakeMac },
      toolchain: { id: toolchain.id === "" ? bogusToolchainId : toolchain.id },
      bootstrap: { versions: {} },
    },
  });
  return enumeration;
}

function readHeader(file: string) {
  try {
    return parseMachineHeader(readFileSync(file), { source: file });
  } catch (error) {
    const reason = error instanceof ManifestError ? error.message : reasonOf(error);
    throw new Failure(`use the fake machine '${file}'`, reason, { cause: error });
  }
}
