import { parseMachineHeader } from "../../manifests/machine.ts";
import { Enumeration } from "./enumeration.ts";
import { machinePaths } from "../layout.ts";
import { fakeMachineLock } from "../locks.ts";
import { readNamedManifest } from "../manifest-files.ts";

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
  const header = readNamedManifest(file, "the fake machine", parseMachineHeader);
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
