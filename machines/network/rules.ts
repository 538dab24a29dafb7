/**
 * The packet filter between build machines, the host and each other: text for `nft -f -`.
 *
 * Two tables are shared by all instances of all toolchains on the host. `bridge croft` sees every frame of a machine
 * where it enters the bridge (interface `croft<offset>`), lets through what the machine may say as who it is, and
 * marks it with the interface's number. The mark cannot be forged, so everything after that goes by it: `inet croft`
 * decides what a marked packet may reach on the host, and no marked packet leaves by another machine's interface,
 * neither bridged nor routed.
 *
 * What a machine may say: IPv4 and ARP with its own MAC address, from addresses in the bridge's networks that are
 * neither the host's, nor a router's, nor used by another machine, a few at a time. An address belongs to whoever used
 * it first, until it has been silent for some minutes: nothing else tells which address the DHCP server gave it. No
 * IPv6, as in the user-mode network: so there are no services of the host to be found by it, and no neighbour
 * discovery to forge. No tagged frames, and no answers of a DHCP server.
 *
 * Nothing here is ever edited in place. Each text declares what it needs (which changes nothing that is there), empties
 * its chains and fills them again, all in one transaction of the kernel. So texts of agents that start at the same
 * time can be applied in any order, a machine of a crashed agent is replaced by its successor, and a packet sees
 * the rules before or after, never between. The tables stay when the last machine leaves: without interfaces
 * `croft*` they concern no packet, and whoever removed them could meet an agent that has just declared them.
 */
import type { Bridge } from "./bridge.ts";
import { networksOf } from "./interfaces.ts";

/** Where guests look for the TFTP server if nothing tells them otherwise. */
const fixedAddress = "196.254.111.222";

/** The upper half of a mark; the lower one is the number of the interface. */
const markBase = 0x00c4_0000;
const isMarked = "meta mark & 0xffff0000 == 0x00c40000";
/** How many addresses a machine may use at a time, so that it cannot take all there are. */
const addressMaximum = 4;
/** How long an address belongs to a machine that is silent. */
const addressTimeout = "10m";

/** A machine as the packet filter knows it. */
export interface MachineRules {
  bridge: Bridge;
  /** Number of its interface, `croft<offset>`. */
  offset: number;
  mac: string;
  tftpPort: number;
}

/** Name of the interface of a machine, in the packet filter as on the bridge. */
export function interfaceName(offset: number): string {
  return `croft${offset}`;
}

/** Lets a machine in, in place of whatever there was of its interface. */
export function admittingRules({ bridge, offset, mac, tftpPort }: MachineRules): string {
  const name = interfaceName(offset);
  return `${sharedRules}${declarations(offset)}
flush set bridge croft ${name}
table bridge croft {
  chain ${name} {
    ether saddr != ${mac} drop
    meta mark set ${markOf(offset)}
    arp htype 1 arp ptype ip arp hlen 6 arp plen 4 arp saddr ether ${mac} goto ${name}-arp
    ether type ip goto ${name}-ip
    drop
  }
  chain ${name}-arp {
    arp operation != { request, reply } drop
    arp saddr ip 0.0.0.0 accept
    ${senderRules(bridge, name, "arp saddr ip")}
  }
  chain ${name}-ip {
    udp sport 67 drop
    ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept
    # The machine's router may be another than the host; this is for the host all the same.
    ip daddr ${fixedAddress} ether daddr set ${bridge.mac} meta pkttype set unicast
    ${senderRules(bridge, name, "ip saddr")}
  }
}
table inet croft {
  chain ${name}-redirect { meta l4proto udp dnat ip to ${bridge.address}:${tftpPort}; }
  chain ${name}-server { ip daddr ${bridge.address} udp dport ${tftpPort} accept; }
}
`;
}

/** Forgets a machine, whether it was known or not, and the addresses that it used. */
export function expellingRules(offset: number, addresses: readonly string[]): string {
  const name = interfaceName(offset);
  return `${sharedRules}${declarations(offset)}
delete element bridge croft machines { "${name}" }
delete element inet croft redirects { ${markOf(offset)} }
delete element inet croft servers { ${markOf(offset)} }
${chainsOf(offset)
  .map((chain) => `delete chain ${chain}\n`)
  .join("")}
delete set bridge croft ${name}
${addresses.map(forgetAddress).join("")}`;
}

/** Added first: what has lapsed meanwhile could not be deleted, and nothing at all would be. */
function forgetAddress(address: string): string {
  return `add element bridge croft taken { ${address} }\ndelete element bridge croft taken { ${address} }\n`;
}

function markOf(offset: number): string {
  return `0x${(markBase + offset).toString(16).padStart(8, "0")}`;
}

/** Decides about a packet of a machine by who it says it is from; always with a verdict. */
function senderRules(bridge: Bridge, machine: string, sender: string): string {
  const reserved = new Set([...bridge.addresses.map(({ address }) => address), ...bridge.gateways]);
  const use = (how: "add" | "update") =>
    [machine, "taken"].map((set) => `${how} @${set} { ${sender} timeout ${addressTimeout} }`).join(" ");
  return `${sender} != { ${networksOf(bridge.addresses).join(", ")} } drop
    ${sender} { ${[...reserved].join(", ")} } drop
    ${sender} @${machine} ${use("update")} accept
    ${sender} @taken drop
    ${use("add")} accept
    drop`;
}

/** The chains of one machine; each is deleted after those that lead to it. */
function chainsOf(offset: number): string[] {
  const name = interfaceName(offset);
  return [
    ...[`bridge croft ${name}`, `bridge croft ${name}-arp`, `bridge croft ${name}-ip`],
    ...[`inet croft ${name}-redirect`, `inet croft ${name}-server`],
  ];
}

/** What the kernel has of one machine, its chains empty. */
function declarations(offset: number): string {
  const name = interfaceName(offset);
  return `
add set bridge croft ${name} { type ipv4_addr; size ${addressMaximum}; flags dynamic, timeout; }
${chainsOf(offset)
  .map((chain) => `add chain ${chain}\nflush chain ${chain}\n`)
  .join("")}
add element bridge croft machines { "${name}" : jump ${name} }
add element inet croft redirects { ${markOf(offset)} : jump ${name}-redirect }
add element inet croft servers { ${markOf(offset)} : jump ${name}-server }
`;
}

/** Who asks for the fixed address is sent to its own server, and gets answers from the fixed address (helper). */
const toFixedAddress = `ip daddr ${fixedAddress} udp dport 69`;

/** What is the same for all machines. */
const sharedRules = `
table bridge croft {
  map machines { type ifname : verdict; }
  set taken { type ipv4_addr; size 65536; flags dynamic, timeout; }
  chain prerouting { type filter hook prerouting priority -300; }
  chain postrouting { type filter hook postrouting priority 300; }
}
table inet croft {
  ct helper tftp { type "tftp" protocol udp; l3proto ip; }
  map redirects { type mark : verdict; }
  map servers { type mark : verdict; }
  chain services { }
  chain prerouting { type filter hook prerouting priority -150; }
  chain redirecting { type nat hook prerouting priority -100; }
  chain input { type filter hook input priority 0; }
  chain output { type filter hook output priority 0; }
}
flush chain bridge croft prerouting
flush chain bridge croft postrouting
flush chain inet croft services
flush chain inet croft prerouting
flush chain inet croft redirecting
flush chain inet croft input
flush chain inet croft output
table bridge croft {
  chain prerouting {
    iifname vmap @machines
    iifname "croft*" drop
  }
  chain postrouting {
    oifname "croft*" ${isMarked} drop
    oifname "croft*" ether type != { ip, arp } drop
  }
}
table inet croft {
  chain services {
    ct state established,related accept
    udp dport { 53, 67 } accept
    tcp dport 53 accept
    meta mark vmap @servers
    drop
  }
  chain prerouting {
    ${isMarked} ${toFixedAddress} ct helper set "tftp"
    # Before others translate an address of the host into that of a container.
    ${isMarked} fib daddr type local jump services
  }
  chain redirecting { ${toFixedAddress} meta mark vmap @redirects; }
  chain input { ${isMarked} jump services; }
  # The host's answers are not the machine's packets, though some settings make them inherit the mark.
  chain output { ${isMarked} meta mark set 0; }
}
`;
