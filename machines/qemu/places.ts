/**
 * Disks that come and go beside those of a machine's own, and the device in the network of a group. Each has a place, an empty
 * PCIe port of the machine: so a machine is saved without them, and gets them when it is restored, before it goes on.
 */
import type { ExtraDisk, GroupPort, StartOptions } from "../virtual-machine.ts";
import { escape, type InheritedFiles } from "./inherited-files.ts";
import { groupNetwork } from "./network.ts";
import type { QmpClient } from "./qmp.ts";

/** How many places there may be: each costs the guest a little while it starts. */
export const placesMaximum = 4;

const place = (index: number) => `place${index}`;
const disk = (index: number) => `extra${index}`;
/** Of the device in a group's network. */
const groupPlace = "group-place";

/** The places, that of a group's network in a machine that is saved or restored alone; with what is in them, unless the machine is one that is saved or restored. */
export function placeArguments(
  { places = 0, extraDisks = [], memory }: StartOptions,
  files: InheritedFiles,
): string[] {
  const ports = Array.from({ length: places }, (_, index) => [
    ...["-device", `pcie-root-port,id=${place(index)},chassis=${index + 1}`],
  ]);
  if (memory) ports.push(["-device", `pcie-root-port,id=${groupPlace},chassis=${placesMaximum + 1}`]);
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

/** Puts the device in a group's network in its place, likewise. */
export async function plugGroup(qmp: QmpClient, { mac }: GroupPort): Promise<void> {
  await qmp.execute("device_add", {
    ...{ driver: "virtio-net-pci", id: "plugged-group", bus: groupPlace },
    ...{ netdev: groupNetwork, mac, romfile: "" },
  });
}
