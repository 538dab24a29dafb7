import { Failure } from "../../os/failure.ts";
import { openTap } from "../network/tap-device.ts";
import type { MachineNetwork, StartOptions } from "../virtual-machine.ts";
import type { InheritedFiles } from "./inherited-files.ts";

/** What a network asks of QEMU. */
export interface NetworkArguments {
  /** Options that make the network device; not asked for by a machine with options of its own. */
  device: (files: InheritedFiles) => string[];
  /** Where the guest finds the TFTP server, `host:port`. */
  tftpAddress: string;
  /** The tap interface, for the machine's own options; a user-mode network has none. */
  interfaceName?: string;
}

/**
 * The QEMU options of a network.
 *
 * In the user-mode network the guest sees the host's loopback at 10.0.2.2, and with it whatever else listens there
 * (machines.md). No IPv6: it would only delay the guest's address. No boot ROM: nothing boots from the network, and
 * loading it costs time.
 */
export function networkArguments(network: MachineNetwork, mac: string): NetworkArguments {
  const device = ["-device", `virtio-net-pci,netdev=net0,mac=${mac},romfile=`];
  if (network.kind === "user")
    return {
      device: () => ["-netdev", "user,id=net0,ipv6=off", ...device],
      tftpAddress: `10.0.2.2:${network.tftpPort}`,
    };
  const { interfaceName, tftpAddress, tftpPort } = network;
  return {
    // QEMU gets it open, and needs neither a script, nor a privilege, nor /dev/net/tun.
    device: (files) => ["-netdev", `tap,id=net0,fd=${files.add(openTap(interfaceName))}`, ...device],
    tftpAddress: `${tftpAddress}:${tftpPort}`,
    interfaceName,
  };
}

/** QEMU's name of its end of the cable to a group's network. */
export const groupNetwork = "group";

/**
 * The device in the group's network, by a socket that comes after all other descriptors, and what tells the guest its
 * address there: `opt/croft/group` has `MAC ADDRESS/PREFIX`, `opt/croft/role` what the machine is there for. One that is
 * restored has the cable, and gets the device before it goes on (places.ts); its address it is told by the control port.
 */
export function groupArguments({ group, machine, memory }: StartOptions, files: InheritedFiles): string[] {
  const role = machine.role === "auxiliary" ? ["-fw_cfg", "name=opt/croft/role,string=auxiliary"] : [];
  if (group === undefined) return role;
  const fd = groupDescriptor(memory, files);
  const cable = ["-netdev", `stream,id=${groupNetwork},server=off,addr.type=fd,addr.str=${fd}`];
  if (memory) return [...role, ...cable];
  return [
    ...role,
    ...["-fw_cfg", `name=opt/croft/group,string=${group.mac} ${group.address}`],
    ...cable,
    ...["-device", `virtio-net-pci,netdev=${groupNetwork},mac=${group.mac},romfile=`],
  ];
}

/** The control port's comes before it, where there is one. */
export function groupDescriptor(memory: StartOptions["memory"], files: InheritedFiles): number {
  return files.next + (memory ? 1 : 0);
}

/**
 * The machine's own options, with `?` in `ifname=?` and `mac=?` replaced (manifests.md).
 *
 * @throws {Failure} if they want a tap interface and the network has none.
 */
export function substituteOptions(
  options: readonly string[],
  mac: string,
  interfaceName: string | undefined,
  machineName: string,
): string[] {
  return options.map((option) => {
    if (interfaceName === undefined && /\bifname=\?/.test(option))
      throw new Failure(`start machine '${machineName}'`, `its option '${option}' needs a bridged network`, {
        hints: ["Use --network bridge, or change 'options' in the machine's manifest."],
      });
    return option.replaceAll(/\bifname=\?/g, `ifname=${interfaceName}`).replaceAll(/\bmac=\?/g, `mac=${mac}`);
  });
}
