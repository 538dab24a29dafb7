import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { isSystemError } from "../../os/failure.ts";

/** A processor architecture by QEMU's name. */
export type Architecture = HostArchitecture | "riscv64";

/** One that croft itself runs on. */
export type HostArchitecture = "x86_64" | "aarch64";

/** What differs between architectures, as QEMU options. */
export interface Platform {
  /** Value of `-machine`. */
  machine: string;
  /** Devices that only this architecture has. */
  devices: readonly string[];
  /** Value of `-cpu` in emulation: all that QEMU can emulate. */
  cpu: string;
}

export const platforms: Record<Architecture, Platform> = {
  // q35 and pc boot a minimal guest equally fast (2.4 s in emulation); microvm has neither pvpanic nor vmgenid.
  x86_64: {
    machine: "q35", // A new number at each start: a restored guest sees that it is a copy.
    devices: ["vmgenid,guid=auto", "pvpanic"],
    cpu: "max",
  },
  aarch64: { machine: "virt,gic-version=max", devices: ["pvpanic-pci"], cpu: "max" },
  // Its QEMU knows "max" from 8.1 on only.
  riscv64: { machine: "virt", devices: ["pvpanic-pci"], cpu: "rv64" },
};

export function hostArchitecture(): HostArchitecture {
  return process.arch === "arm64" ? "aarch64" : "x86_64";
}

/** The program that runs machines of an architecture, unless the operator names another. */
export function qemuFor(architecture: Architecture): string {
  return `qemu-system-${architecture}`;
}

/** What an operator is told whose host has no such program. */
export const installQemuHint =
  "On Debian: apt-get install qemu-system-x86 util-linux (for arm64 machines qemu-system-arm, for riscv64 qemu-system-misc opensbi)";

/**
 * The architecture of a machine: that of its `kernel`; the host's for a machine that boots from its disk.
 *
 * The magic numbers are those of the kernel's boot protocols (Documentation/arch/x86/boot.rst,
 * arch/arm64/booting.rst and arch/riscv/boot-image-header.rst in Linux).
 */
export function architectureOf(machineDirectory: string): Architecture {
  const header = readHeader(join(machineDirectory, "kernel"));
  if (header?.toString("latin1", 0x202, 0x206) === "HdrS") return "x86_64";
  if (header?.toString("latin1", 0x38, 0x3c) === "ARMd") return "aarch64";
  if (header?.toString("latin1", 0x38, 0x3c) === "RSC\x05") return "riscv64";
  return hostArchitecture();
}

function readHeader(path: string): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return undefined;
    throw error;
  }
  try {
    const header = Buffer.alloc(0x210);
    readSync(fd, header, 0, header.length, 0);
    return header;
  } finally {
    closeSync(fd);
  }
}
