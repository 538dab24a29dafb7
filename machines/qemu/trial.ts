/**
 * A guest of a few instructions that ends QEMU at once: whether guests really run, and with which accelerator.
 *
 * That `/dev/kvm` opens says little: where virtualization is only pretended, a guest hangs. The firmware is part of the
 * test: a guest that is nothing but these instructions has been seen to run where every other one hangs.
 */
import { chmod, chown, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ProgramFailure, run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { firstLine } from "../../os/text/lines.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { MachineUser } from "../virtual-machine.ts";
import { hostArchitecture, platforms, qemuFor, type HostArchitecture } from "./architecture.ts";
import { launcher } from "./user.ts";

/** Smaller disks have no geometry that the firmware would boot from. */
const imageBytes = 8 * 1024 * 1024;

/** What the program needs to have compiled in, besides the accelerator. */
const devices = ["virtio-blk-pci", "virtio-net-pci", "virtio-rng-pci", "virtio-serial-pci", "virtserialport"];

interface TrialGuest {
  /** Disk or kernel image. */
  image: Buffer;
  args: (file: string) => string[];
  /** Exit status of QEMU by which the guest shows that it has run. */
  status: number;
}

const guests: Record<HostArchitecture, TrialGuest> = {
  x86_64: {
    // A boot sector: mov dx,0xf4; mov al,0x2a; out dx,al; hlt; jmp -3. QEMU's debug exit makes status 2n+1 of the n.
    image: bootSector([0xba, 0xf4, 0x00, 0xb0, 0x2a, 0xee, 0xf4, 0xeb, 0xfd]),
    args: (file) => [
      ...["-drive", `if=none,id=disk0,file=${file},format=raw,readonly=on`],
      ...["-device", "virtio-blk-pci,drive=disk0,bootindex=1"],
      ...["-device", "isa-debug-exit,iobase=0xf4,iosize=1"],
    ],
    status: 0x2a * 2 + 1,
  },
  aarch64: {
    // movz w0,#8; movk w0,#0x8400,lsl 16; hvc #0 (PSCI: SYSTEM_OFF); b . (Arm DEN0022)
    image: Buffer.from(new Uint32Array([0x52800100, 0x72b08000, 0xd4000002, 0x14000000]).buffer),
    args: (file) => ["-kernel", file],
    status: 0,
  },
};

function bootSector(code: readonly number[]): Buffer {
  const image = Buffer.alloc(512);
  image.set(code);
  image.set([0x55, 0xaa], 510);
  return image;
}

export interface TrialOptions {
  /** Program; by default that of the host's architecture. */
  qemu?: string | undefined;
  /** Whom it runs as, instead of this process's user. */
  user?: MachineUser | undefined;
  /** How long the guest may take. */
  timeoutSeconds: number;
  signal?: AbortSignal;
}

/**
 * Runs the guest.
 *
 * @returns how long it took, in seconds; or why it did not run.
 */
export async function tryGuest(
  accelerator: "kvm" | "tcg",
  { qemu, user, timeoutSeconds, signal }: TrialOptions,
): Promise<{ seconds: number } | { failure: string }> {
  const architecture = hostArchitecture();
  const { image, args, status } = guests[architecture];
  await using directory = await temporaryDirectory("croft-trial-");
  await writeFile(join(directory.path, "guest"), image);
  if (architecture === "x86_64") await truncate(join(directory.path, "guest"), imageBytes);
  await chmod(join(directory.path, "guest"), 0o644);
  if (user) await chown(directory.path, user.id, user.id);
  const argv = [
    ...[...launcher(user), qemu ?? qemuFor(architecture)],
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"],
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    ...["-machine", platforms[architecture].machine, "-accel", accelerator],
    ...["-cpu", accelerator === "kvm" ? "host" : "max", "-m", "64"],
    ...args("guest"),
  ];
  const begin = performance.now();
  const limits = { timeoutSeconds, cwd: directory.path, ...withoutUndefined({ signal }) };
  try {
    const ended = await run(argv, { ...limits, accept: [status] });
    if (ended.status !== status) return { failure: "QEMU ended before the guest had run" };
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof ProgramFailure)) throw error;
    if (/no end after/.test(error.message)) return { failure: `no sign of life within ${timeoutSeconds} s` };
    const lines = error.output.trim().split("\n");
    const said = lines.find((line) => /\berror:/.test(line)) ?? lines.at(-1)!;
    return { failure: said.replace(/^[^\s:]*qemu\S*: (error: )?/, "") || error.message };
  }
  return { seconds: (performance.now() - begin) / 1000 };
}

/** What a QEMU program is. */
export interface QemuProgram {
  program: string;
  version: { major: number; minor: number; text: string };
  /** Devices and network back ends that croft's machines have and this program does not. */
  missing: string[];
}

/**
 * Asks the program for its version and for what machines need.
 *
 * @throws {ProgramFailure} if it cannot be run.
 */
export async function inspectQemu(qemu: string | undefined, signal?: AbortSignal): Promise<QemuProgram> {
  const architecture = hostArchitecture();
  const program = qemu ?? qemuFor(architecture);
  const limits = { timeoutSeconds: 10, ...withoutUndefined({ signal }) };
  const { machine, devices: own } = platforms[architecture];
  const ask = async (...args: string[]) => (await run([program, ...args], limits)).stdout;
  const [said, deviceHelp, networkHelp] = await Promise.all([
    ask("--version"),
    ask("-machine", machine, "-device", "help"),
    ask("-machine", machine, "-netdev", "help"),
  ]);
  const [, major = "0", minor = "0"] = /version (\d+)\.(\d+)/.exec(said) ?? [];
  // Some are given with properties.
  const wanted = [...devices, ...own].map((device) => device.replace(/,.*/, ""));
  const missing = wanted.filter((device) => !deviceHelp.includes(`name "${device}"`));
  if (!/^user$/m.test(networkHelp)) missing.push("user network");
  const text = firstLine(said).trim();
  return { program, version: { major: Number(major), minor: Number(minor), text }, missing };
}
