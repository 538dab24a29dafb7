/** The tap interface of a machine on the bridge. */
import { setTimeout as delay } from "node:timers/promises";
import { Failure } from "../../os/failure.ts";
import type { Bridge } from "./bridge.ts";
import { changeInterfaces, readInterface, readPorts } from "./interfaces.ts";
import { isTapHeld } from "./tap-device.ts";

/** How long a machine that has just ended may keep its interface. */
const releaseSeconds = 5;

/**
 * Makes a tap interface for a user's QEMU: one whose own options name the interface attaches to it itself.
 *
 * It is down, and no port of the bridge: nothing passes. Up, it would lead to the host itself.
 */
export async function makeTap(name: string, user: number, signal?: AbortSignal): Promise<void> {
  await changeInterfaces(
    [
      `tuntap add dev ${name} mode tap user ${user}`,
      `link set dev ${name} addrgenmode none`, // the host has nothing to say there by itself
    ],
    signal,
  );
}

/**
 * Makes a tap interface a port of the bridge, for the machine with a MAC address.
 *
 * @throws {Failure} if another machine on the bridge has the MAC address.
 */
export async function attachTap(
  name: string,
  { bridge, mac }: { bridge: Bridge; mac: string },
  signal?: AbortSignal,
): Promise<void> {
  for (const port of await readPorts(bridge.name, signal))
    if (port.name !== name && port.alias === aliasOf(mac) && port.hasCarrier)
      throw new Failure(
        `attach ${name} to bridge '${bridge.name}'`,
        `another machine there (${port.name}) has the MAC address ${mac}`,
        { hints: ["Leave 'mac' out of the machine's manifest, if two toolchains use it at the same time."] },
      );
  await changeInterfaces(
    [
      // A bridge takes the lowest address of its ports unless it was given one, and its neighbours lose it then.
      `link set dev ${bridge.name} address ${bridge.mac}`,
      `link set dev ${name} address fe${mac.slice(2)} alias "${aliasOf(mac)}"`,
      `link set dev ${name} master ${bridge.name}`,
      // The kernel's own separation, too, in case somebody empties the packet filter; and no say in a spanning tree.
      `link set dev ${name} type bridge_slave isolated on guard on`,
      `link set dev ${name} up`,
    ],
    signal,
  );
}

/**
 * Removes a tap interface, if it is there.
 *
 * @throws {Failure} if a machine has it open, or it is something else.
 */
export async function removeTap(name: string): Promise<void> {
  const deadline = performance.now() + releaseSeconds * 1000;
  for (;;) {
    const found = await readInterface(name);
    if (found === undefined) return;
    const fail = (reason: string, hint: string) =>
      new Failure(`remove network interface '${name}'`, reason, { hints: [hint] });
    if (found.kind !== "tun") throw fail("it is no tap interface", "Names croft* are for croft's machines.");
    // One that is down has no carrier, whoever has it.
    if (!found.hasCarrier && (found.isUp || !isTapHeld(name)))
      return changeInterfaces([`link delete dev ${name}`]);
    if (performance.now() > deadline)
      throw fail(
        "a running machine uses it",
        "Does another agent of this host have the same --toolchain-num and --instance?",
      );
    await delay(50);
  }
}

function aliasOf(mac: string): string {
  return `croft machine ${mac.toLowerCase()}`;
}
