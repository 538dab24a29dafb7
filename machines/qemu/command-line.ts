import { existsSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { Failure } from "../../os/failure.ts";
import { typeRefusal, type StartOptions } from "../virtual-machine.ts";
import { chooseAccelerator } from "./acceleration.ts";
import { architectureOf, platforms, qemuFor } from "./architecture.ts";
import { diskArguments } from "./disks.ts";
import { escape, type InheritedFiles } from "./inherited-files.ts";
import { controlArguments, memoryArguments } from "./memory.ts";
import { groupArguments, networkArguments, substituteOptions } from "./network.ts";
import { placeArguments } from "./places.ts";
import type { SocketDirectory } from "./socket-directory.ts";
import { launcher } from "./user.ts";

/** Descriptors that QEMU inherits: sockets without a name, so that none is left behind. */
export const qmpDescriptor = 3;
export const logDescriptor = 4;
/** The first of its files. */
export const fileDescriptor = 5;

/** The guest reads a fixed-size entry, so that a restored one finds room for another port (machines.md). */
const tftpEntryBytes = 64;

/**
 * The whole command line of a machine. It runs in the machine's directory, so that options of the machine's own may name
 * its files.
 *
 * @param files gets what is to be opened for QEMU.
 * @param sockets where it makes its own.
 * @throws {Failure} if there is nothing to start from.
 */
export function commandLine(
  options: StartOptions,
  files: InheritedFiles,
  sockets: SocketDirectory,
): string[] {
  if (options.machine.type !== "kvm")
    throw new Failure(`start machine '${options.name}'`, typeRefusal(options.machine.type), {
      hints: ["Only machines of type 'kvm' can be run here."],
    });
  const architecture = architectureOf(options.directory);
  const platform = platforms[architecture];
  const accelerator = chooseAccelerator(options.accel, architecture, options.log);
  const own = options.machine.options ?? [];
  const network = networkArguments(options.network, options.mac);
  const boot = bootArguments(options, files, sockets);
  const replaced =
    own.length === 0
      ? [...network.device(files), ...diskArguments(options, files), ...placeArguments(options, files)]
      : substituteOptions(own, options.mac, network.interfaceName, options.name);
  const memory = memoryArguments(options, files);
  files.mark(resolve(options.runtimeDirectory));
  return [
    ...launcher(options.user),
    options.qemu ?? qemuFor(architecture),
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"],
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    ...["-name", `guest=${escape(options.name)}`],
    ...files.args,
    ...memory,
    ...[
      "-machine",
      platform.machine + (memory.length > 0 ? ",memory-backend=ram" : ""),
      "-accel",
      accelerator,
    ],
    ...["-cpu", accelerator === "kvm" ? "host" : platform.cpu],
    ...["-smp", String(options.cpus), "-m", `${options.ramKiB}k`],
    ...platform.devices.flatMap((device) => ["-device", device]),
    ...["-device", "virtio-rng-pci"],
    ...channelArguments(sockets.operator),
    ...screenArguments(options),
    ...["-fw_cfg", `name=opt/croft/tftp,string=${network.tftpAddress.padEnd(tftpEntryBytes)}`],
    ...boot,
    ...replaced,
    ...controlArguments(options, files),
    ...groupArguments(options, files),
  ];
}

/** QMP, the console on standard input and output, and the log port; the operator's QMP beside them. */
function channelArguments(operator: string | undefined): string[] {
  const operatorMonitor = operator ? ["-qmp", `unix:${operator},server=on,wait=off`] : [];
  return [
    ...["-chardev", `socket,id=qmp,fd=${qmpDescriptor}`, "-mon", "chardev=qmp,mode=control"],
    ...operatorMonitor,
    ...["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"],
    ...["-device", "virtio-serial-pci", "-chardev", `socket,id=log,fd=${logDescriptor}`],
    ...["-device", "virtserialport,chardev=log,name=org.croft.log"],
  ];
}

/**
 * VNC, and a terminal to show by it: the guest's /dev/hvc0, which every architecture has and which costs a boot nothing.
 * A machine whose own options bring a graphics device shows that first, and the terminal with Ctrl-Alt-2.
 */
function screenArguments({ publicScreen }: StartOptions): string[] {
  // Without an address it listens nowhere; it gets one when the machine is suspended. A password is set through QMP.
  const vnc = publicScreen === undefined ? "none" : `:${publicScreen.display},password=on`;
  return [
    "-vnc",
    vnc,
    "-chardev",
    "vc,id=screen",
    "-device",
    "virtconsole,chardev=screen,name=org.croft.screen",
  ];
}

/** Direct boot if there is a `kernel`; else the firmware boots the first disk. */
function bootArguments(
  { directory, user }: StartOptions,
  files: InheritedFiles,
  sockets: SocketDirectory,
): string[] {
  const [kernel, initrd] = [join(directory, "kernel"), join(directory, "initrd")];
  // QEMU opens it once more, as its user: some distributions let only root read a kernel.
  const nameOf = (file: string) => files.name(!user || isReadable(file) ? file : sockets.copyOf(file));
  if (!existsSync(kernel)) return [];
  const args = ["-kernel", nameOf(kernel)];
  if (existsSync(initrd)) args.push("-initrd", nameOf(initrd));
  const commandLineFile = join(directory, "cmdline");
  if (existsSync(commandLineFile))
    args.push("-append", readFileSync(commandLineFile, "utf8").replaceAll(/\s+/g, " ").trim());
  return args;
}

/** Whether everybody may read a file. */
function isReadable(file: string): boolean {
  return (statSync(file).mode & 0o004) !== 0;
}
