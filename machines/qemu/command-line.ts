import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Failure, reasonOf } from "../../os/failure.ts";
import type { StartOptions } from "../virtual-machine.ts";
import { chooseAccelerator } from "./acceleration.ts";
import { architectureOf, platforms, qemuFor } from "./architecture.ts";
import { operatorSocket, pidFileName } from "./runtime-files.ts";
import { networkArguments, substituteOptions } from "./network.ts";

/** Descriptors that QEMU inherits: sockets without a name, so that none is left behind. */
export const qmpDescriptor = 3;
export const logDescriptor = 4;

/** The guest reads a fixed-size entry, so that a restored one finds room for another port (machines.md). */
const tftpEntryBytes = 64;

/**
 * The whole command line of a machine. It runs in the machine's directory, so that options of the machine's own may name
 * its files.
 *
 * @throws {Failure} if there is nothing to start from.
 */
export function commandLine(options: StartOptions): string[] {
  if (options.machine.type !== "kvm")
    throw new Failure(`start machine '${options.name}'`, `its type is '${options.machine.type}'`, {
      hints: ["Only machines of type 'kvm' can be run here."],
    });
  const architecture = architectureOf(options.directory);
  const platform = platforms[architecture];
  const accelerator = chooseAccelerator(options.accel, architecture, options.log);
  const network = networkArguments(options.network, options.mac);
  const own = options.machine.options;
  const replaced =
    own === undefined || own.length === 0
      ? [...network.args, ...diskArguments(options)]
      : substituteOptions(own, options.mac, network.interfaceName, options.name);
  return [
    // The kernel kills QEMU when its parent dies: an orphan with the machine's MAC address would meet its successor.
    ...["setpriv", "--pdeathsig", "KILL", "--"],
    options.qemu ?? qemuFor(architecture),
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"],
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    ...["-name", `guest=${escape(options.name)}`],
    ...["-pidfile", join(resolve(options.runtimeDirectory), pidFileName)],
    ...["-machine", platform.machine, "-accel", accelerator],
    ...["-cpu", accelerator === "kvm" ? "host" : "max"],
    ...["-smp", String(options.cpus), "-m", `${options.ramKiB}k`],
    ...platform.devices.flatMap((device) => ["-device", device]),
    ...["-device", "virtio-rng-pci"],
    ...channelArguments(options.runtimeDirectory),
    ...screenArguments(options),
    ...["-fw_cfg", `name=opt/croft/tftp,string=${network.tftpAddress.padEnd(tftpEntryBytes)}`],
    ...bootArguments(options.directory),
    ...replaced,
  ];
}

/** QMP, the console on standard input and output, and the log port; the operator's QMP beside them. */
function channelArguments(runtimeDirectory: string): string[] {
  const operator = operatorSocket(runtimeDirectory);
  const operatorMonitor = operator ? ["-qmp", `unix:${escape(operator)},server=on,wait=off`] : [];
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
function bootArguments(directory: string): string[] {
  if (!existsSync(join(directory, "kernel"))) return [];
  const args = ["-kernel", "kernel"];
  if (existsSync(join(directory, "initrd"))) args.push("-initrd", "initrd");
  const commandLineFile = join(directory, "cmdline");
  if (existsSync(commandLineFile))
    args.push("-append", readFileSync(commandLineFile, "utf8").replaceAll(/\s+/g, " ").trim());
  return args;
}

function diskArguments(options: StartOptions): string[] {
  const disks = disksOf(options);
  if (disks.length === 0)
    throw new Failure(
      `start machine '${options.name}'`,
      `'${options.directory}' holds no disk*.img or disk*.qcow2`,
    );
  // The snapshot is thrown away after use, so that no write need ever reach the platter.
  return disks.flatMap((file, index) => [
    "-drive",
    `if=none,id=disk${index},file=${escape(file)},cache=unsafe,discard=unmap,` +
      `format=${file.endsWith(".qcow2") ? "qcow2" : "raw"}`,
    ...["-device", `virtio-blk-pci,drive=disk${index},bootindex=${index + 1}`],
  ]);
}

function disksOf(options: StartOptions): string[] {
  try {
    return readdirSync(options.directory)
      .filter((name) => /^disk.*\.(img|qcow2)$/.test(name))
      .sort();
  } catch (error) {
    throw new Failure(`start machine '${options.name}'`, `'${options.directory}': ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/** QEMU's option lists double a comma that is meant. */
function escape(value: string): string {
  return value.replaceAll(",", ",,");
}
