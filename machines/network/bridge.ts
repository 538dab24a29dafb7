/** The host's bridge that machines are attached to. The operator makes it; croft only looks at it. */
import { Failure, reasonOf } from "../../os/failure.ts";
import { interfaceState } from "../../os/network/ioctl.ts";
import { ProgramFailure } from "../../os/run.ts";
import { readGateways, readInterface, type Ipv4Address } from "./interfaces.ts";

export interface Bridge {
  name: string;
  mac: string;
  /** The address that machines find the host at. */
  address: string;
  /** All of its addresses, with their networks. */
  addresses: Ipv4Address[];
  /** Routers behind the bridge, if it leads to a network with routers. */
  gateways: string[];
}

/** Looks at the bridge. @throws {Failure} if machines cannot be attached to it, with what to do about it. */
export async function readBridge(name: string, signal?: AbortSignal): Promise<Bridge> {
  const fail = (reason: string, ...hints: string[]) =>
    new Failure(`use bridge '${name}'`, reason, {
      hints: [...hints, "See docs/bridge.md; --network user needs no bridge."],
    });
  const found = await explain(name, readInterface(name, signal));
  if (found === undefined)
    throw fail("there is no such interface", `Make it (ip link add ${name} type bridge), or give --bridge.`);
  if (found.kind !== "bridge") throw fail(`it is no bridge${found.kind ? ` but of kind ${found.kind}` : ""}`);
  if (!found.isUp) throw fail("it is down", `Bring it up: ip link set ${name} up`);
  const [first] = found.ipv4;
  if (first === undefined)
    throw fail(
      "it has no IPv4 address, which machines need to find the agent",
      `Give it one: ip address add 192.0.2.1/24 dev ${name} (of your own, in place of 192.0.2.1/24)`,
    );
  return {
    ...{ name, mac: found.mac, address: first.address, addresses: found.ipv4 },
    gateways: await explain(name, readGateways(name, signal)),
  };
}

/** The address that machines find the host at: no program is run as long as the kernel says the same of the bridge. */
export class BridgeAddress {
  #known: { name: string; state: string; address: string } | undefined;

  /** The bridge is looked at anew. */
  forget(): void {
    this.#known = undefined;
  }

  /** @throws {Failure} if machines cannot be attached to the bridge. */
  async of(name: string, signal?: AbortSignal): Promise<string> {
    const state = interfaceState(name); // before: what changes meanwhile is seen the next time
    if (state !== undefined && this.#known?.name === name && this.#known.state === state)
      return this.#known.address;
    this.forget();
    const { address } = await readBridge(name, signal);
    if (state !== undefined) this.#known = { name, state, address };
    return address;
  }
}

/** Puts what a system program could not do into terms of the bridge. */
export async function explain<T>(bridge: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof ProgramFailure)) throw error;
    throw new Failure(`use bridge '${bridge}'`, reasonOf(error), { cause: error, hints: hintsFor(error) });
  }
}

function hintsFor({ message }: ProgramFailure): string[] {
  if (/no such program/.test(message)) return ["On Debian: apt-get install iproute2 nftables"];
  if (/not permitted|must be root|permission denied/i.test(message))
    return ["--network bridge needs root, or the capability CAP_NET_ADMIN; --network user needs neither."];
  if (/No such file or directory|not supported/i.test(message))
    return ["The kernel may lack a module: modprobe -a tun bridge nf_tables nft_fib_inet nf_nat_tftp"];
  return [];
}
