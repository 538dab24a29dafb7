/**
 * Disks that come and go beside those of a machine's own. Each has a place, an empty PCIe port of the machine: so a machine is saved
 * without them, and gets them when it is restored, before it goes on.
 */
import type { ExtraDisk, StartOptions } from "../virtual-machine.ts";
import { escape, type InheritedFiles } from "./inherited-files.ts";
import type { QmpClient } from "./qmp.ts";

/** How many places there may be: each costs the guest a little while it starts. */
export const placesMaximum = 4;

const place = (index: number) => `place${index}`;
const disk = (index: number) => `extra${index}`;

/** The places; with what is in them, unless the machine is one that is saved or restored. */
export function placeArguments(
  { places = 0, extraDisks = [], memory }: StartOptions,
  files: InheritedFiles,
): string[] {
  const ports = Array.from({ length: places }, (_, index) => [
    ...["-device", `pcie-root-port,id=${place(index)},chassis=${index + 1}`],
  ]);
  const disks = (memory ? [] : extraDisks).flatMap(({ path, serial }, index) => [
    ...[
      "-drive",
      `if=none,id=${disk(index)},file=${escape(files.disk(path, "write"))},format=raw,${careless}`,
    ],
    ...["-device", `virtio-blk-pci,drive=${disk(index)},serial=${serial},bus=${place(index)}`],
  ]);
  return [...ports.flat(), ...disks];
}

/** A clone is thrown away, or written to the disk by the agent. */
const careless = "cache=unsafe,discard=unmap,detect-zeroes=unmap";

/** Opens the disks that a restored machine will get. @returns QEMU's names for them. */
export function openLater({ extraDisks = [], memory }: StartOptions, files: InheritedFiles): string[] {
  return memory?.mode === "restore" ? extraDisks.map(({ path }) => files.disk(path, "write")) : [];
}

/** Puts disks in their places while the machine stands still. */
export async function plugDisks(
  qmp: QmpClient,
  disks: readonly ExtraDisk[],
  names: readonly string[],
): Promise<void> {
  for (const [index, { serial }] of disks.entries()) {
    await qmp.execute("blockdev-add", {
      ...{ "node-name": disk(index), driver: "raw", discard: "unmap", "detect-zeroes": "unmap" },
      cache: { direct: false, "no-flush": true },
      file: { driver: "file", filename: names[index], discard: "unmap" },
    });
    await qmp.execute("device_add", {
      ...{ driver: "virtio-blk-pci", id: `plugged-${disk(index)}`, bus: place(index) },
      ...{ drive: disk(index), serial, "write-cache": "on" },
    });
  }
}
