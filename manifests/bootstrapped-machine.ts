import { bootstrapEntries, readBootstrap, type Bootstrap } from "./bootstrap.ts";
import { machineEntries, readMachine, type Machine } from "./machine.ts";
import type { ParseOptions } from "./parse-options.ts";
import { Sections, formatSections } from "./sections.ts";
import { token } from "./values.ts";

/** The file `manifest` inside a bootstrapped subvolume: three manifests. */
export interface BootstrappedMachine {
  /** With `mac` filled in. */
  machine: Machine;
  toolchain: { id: string };
  bootstrap: Bootstrap;
}

/** @throws {ManifestError} */
export function parseBootstrappedMachine(bytes: Uint8Array, options: ParseOptions = {}): BootstrappedMachine {
  const sections = new Sections(bytes, options);
  const machine = sections.take("machine manifest", (fields) => {
    const read = readMachine(fields);
    if (read.mac === undefined) fields.lacks("mac");
    return read;
  });
  const toolchain = sections.take("toolchain manifest", (fields) => ({ id: fields.required("id", token) }));
  const bootstrap = sections.take("bootstrap manifest", readBootstrap);
  sections.end();
  return { machine, toolchain, bootstrap };
}

/** @throws {ManifestWriteError} */
export function formatBootstrappedMachine({
  machine,
  toolchain,
  bootstrap,
}: BootstrappedMachine): Uint8Array {
  return formatSections([machineEntries(machine), [["id", toolchain.id]], bootstrapEntries(bootstrap)]);
}
