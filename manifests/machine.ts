import { present, type Fields } from "./fields.ts";
import type { ParseOptions } from "./parse-options.ts";
import { formatSections, parseSingle, type Entry } from "./sections.ts";
import {
  argumentList,
  formatArgumentList,
  kibibytes,
  machineName,
  matching,
  oneLine,
  oneOf,
  text,
  word,
} from "./values.ts";

/** What an agent offers to a controller. */
export interface MachineHeader {
  /** Unique per machine revision, e.g. `debian_12-gcc_12-1.2`. */
  id: string;
  /** Equals the machine's directory name. */
  name: string;
  /** One line. */
  summary: string;
  /** `build` if absent. */
  role?: "build" | "auxiliary";
  ramMinimumKiB?: number;
  ramMaximumKiB?: number;
}

/** A machine manifest. */
export interface Machine extends MachineHeader {
  type: "kvm" | "nspawn";
  /** A fixed MAC address: six hexadecimal pairs, unicast. */
  mac?: string;
  /** Replaces the default network and disk options of QEMU. */
  options?: string[];
  changes?: string;
}

/** Six hexadecimal pairs; the lowest bit of the first is the multicast bit. */
const macAddress = matching(
  /^[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$/,
  "a unicast MAC address (six hexadecimal pairs separated by ':')",
);

/** Reads the header part of a machine manifest. */
export function readMachineHeader(fields: Fields): MachineHeader {
  const maximumAt = fields.indexOf("ram-maximum");
  const header = present<MachineHeader>({
    id: fields.required("id", word),
    name: fields.required("name", machineName),
    summary: fields.required("summary", oneLine),
    role: fields.optional("role", oneOf("build", "auxiliary")),
    ramMinimumKiB: fields.optional("ram-minimum", kibibytes),
    ramMaximumKiB: fields.optional("ram-maximum", kibibytes),
  });
  if (maximumAt !== undefined && (header.ramMinimumKiB ?? 0) > header.ramMaximumKiB!)
    fields.fail("ram-maximum", maximumAt, "it is less than 'ram-minimum'");
  return header;
}

/** Reads a machine manifest. */
export function readMachine(fields: Fields): Machine {
  return present<Machine>({
    role: undefined,
    ramMinimumKiB: undefined,
    ramMaximumKiB: undefined,
    ...readMachineHeader(fields),
    type: fields.required("type", oneOf("kvm", "nspawn")),
    mac: fields.optional("mac", macAddress),
    options: fields.optional("options", argumentList),
    changes: fields.optional("changes", text),
  });
}

/** @throws {ManifestError} */
export function parseMachineHeader(bytes: Uint8Array, options: ParseOptions = {}): MachineHeader {
  return parseSingle(bytes, options, "machine header manifest", readMachineHeader);
}

/** @throws {ManifestError} */
export function parseMachine(bytes: Uint8Array, options: ParseOptions = {}): Machine {
  return parseSingle(bytes, options, "machine manifest", readMachine);
}

/**
 * Writes a list of machine headers.
 *
 * @throws {ManifestWriteError}
 */
export function formatMachineHeaders(headers: readonly MachineHeader[]): Uint8Array {
  return formatSections(headers.map(machineHeaderEntries));
}

/** @throws {ManifestWriteError} */
export function formatMachine(machine: Machine): Uint8Array {
  return formatSections([machineEntries(machine)]);
}

export function machineHeaderEntries(header: MachineHeader): Entry[] {
  return [
    ["id", header.id],
    ["name", header.name],
    ["summary", header.summary],
    ["role", header.role],
    ["ram-minimum", header.ramMinimumKiB],
    ["ram-maximum", header.ramMaximumKiB],
  ];
}

export function machineEntries(machine: Machine): Entry[] {
  return [
    ...machineHeaderEntries(machine),
    ["type", machine.type],
    ["mac", machine.mac],
    ["options", machine.options && formatArgumentList(machine.options)],
    ["changes", machine.changes],
  ];
}

/** Whether an auxiliary machine may have a name: it is offered to controllers that read it as `<system>-<service>`. */
export function isAuxiliaryName(name: string): boolean {
  return name.includes("-");
}
