/**
 * The host's side of a machine's network: where its TFTP server listens, and what must be there for as long as the
 * machine runs.
 */
import { BlockList, isIPv4 } from "node:net";
import { networkInterfaces } from "node:os";
import { assertFailure, Failure } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { interfaceState } from "../../os/network/ioctl.ts";
import type { MachineNetwork } from "../virtual-machine.ts";
import { explain, readBridge, type Bridge } from "./bridge.ts";
import { admitMachine, expelMachine } from "./firewall.ts";
import { networksOf } from "./interfaces.ts";
import { loadTftpHelper } from "./modules.ts";
import { interfaceName } from "./rules.ts";
import { attachTap, makeTap, removeTap } from "./tap.ts";

/** Which network machines get; `bridge` names the host's interface. */
export type NetworkChoice = { kind: "user" } | { kind: "bridge"; bridge: string };

/** A machine's connection; to be held until after its end. */
export interface Connection extends AsyncDisposable {
  readonly network: MachineNetwork;
}

/** One that is a machine's from its start on, and leads nowhere yet: there is nothing on the bridge, and no rule. */
export interface ConnectionApart extends Connection {
  /**
   * Connects the machine to what it may reach, as the one with a MAC address; once.
   *
   * @throws {Failure} if that cannot be, as the bridge is another one by now, for instance.
   */
  join(mac: string, signal?: AbortSignal): Promise<void>;
}

export interface HostNetwork {
  /** IPv4 address for the machine's TFTP server. */
  readonly address: string;
  /**
   * True for an address that a machine may send from; absent where machines send from the host's own, as everybody on
   * the host does.
   */
  readonly isGuest?: (address: string) => boolean;
  /** Connects the machine to the server's port, and to what else it may reach. */
  connect(tftpPort: number): Promise<Connection>;
  /** The same later, when it joins: for a machine that is restored, and stands still until there is something to do. */
  connectApart(tftpPort: number): Promise<ConnectionApart>;
}

export interface HostNetworkOptions {
  choice: NetworkChoice;
  /** Number of the instance on this host, which its interface is named by. */
  offset: number;
  mac: string;
  /** Number of the user who may attach to the interface; by default this process's. */
  user?: number;
  log: Log;
  signal?: AbortSignal;
}

/**
 * Looks at the network that a machine is about to get.
 *
 * @throws {Failure} if there is no such bridge, or croft may not use it.
 */
export async function openHostNetwork(options: HostNetworkOptions): Promise<HostNetwork> {
  const { choice, signal } = options;
  if (choice.kind === "user")
    // The user-mode network shows the guest the host's loopback.
    return { address: "127.0.0.1", connect: userConnection, connectApart: userConnection };
  const bridge = await readBridge(choice.bridge, signal);
  return {
    ...{ address: bridge.address, isGuest: guestsOf(bridge) },
    connect: (tftpPort) => explain(bridge.name, connect(bridge, tftpPort, options)),
    connectApart: (tftpPort) => explain(bridge.name, connectApart(bridge, tftpPort, options)),
  };
}

/** The bridge's networks without what the packet filter keeps from machines, and without this host's addresses. */
function guestsOf(bridge: Bridge): (address: string) => boolean {
  const networks = new BlockList();
  for (const network of networksOf(bridge.addresses)) {
    const [address = "", prefixLength] = network.split("/");
    networks.addSubnet(address, Number(prefixLength));
  }
  const others = new BlockList();
  for (const { address } of [
    ...bridge.addresses,
    ...Object.values(networkInterfaces()).flatMap((one) => one ?? []),
  ])
    if (isIPv4(address)) others.addAddress(address);
  for (const gateway of bridge.gateways) others.addAddress(gateway);
  return (address) => networks.check(address) && !others.check(address);
}

/** What the connections of machines rest on, as a text to compare: it costs no program. */
export function networkState(choice: NetworkChoice): string | undefined {
  return choice.kind === "bridge" ? interfaceState(choice.bridge) : "user";
}

/**
 * Removes what a crashed predecessor of an instance may have left of its machine's connection, and makes sure that
 * there can be a new one.
 *
 * @throws {Failure} if there cannot.
 */
export async function prepareHostNetwork(choice: NetworkChoice, offset: number): Promise<void> {
  if (choice.kind === "user") return;
  await readBridge(choice.bridge);
  await loadTftpHelper();
  await explain(choice.bridge, disconnect(offset));
}

function userConnection(tftpPort: number): Promise<ConnectionApart> {
  const nothing = () => Promise.resolve();
  return Promise.resolve({
    ...{ network: { kind: "user", tftpPort }, join: nothing },
    [Symbol.asyncDispose]: nothing,
  });
}

async function connect(bridge: Bridge, tftpPort: number, options: HostNetworkOptions): Promise<Connection> {
  const { offset, mac, user = process.getuid!(), signal } = options;
  await using undo = await cleared(bridge, options);
  // Rules first: the interface is never on the bridge without them.
  await admitMachine({ bridge, offset, mac, tftpPort }, signal);
  await makeTap(interfaceName(offset), user, signal);
  await attachTap(interfaceName(offset), { bridge, mac }, signal);
  return connection(bridge, tftpPort, offset, undo.move());
}

async function connectApart(
  bridge: Bridge,
  tftpPort: number,
  options: HostNetworkOptions,
): Promise<ConnectionApart> {
  const { offset, user = process.getuid!() } = options;
  const name = interfaceName(offset);
  await using undo = await cleared(bridge, options);
  await makeTap(name, user, options.signal);
  const join = async (mac: string, signal?: AbortSignal) => {
    const now = await readBridge(bridge.name, signal);
    if (now.address !== bridge.address)
      throw new Failure(
        `use bridge '${bridge.name}'`,
        `its address was ${bridge.address} and is ${now.address}`,
      );
    await admitMachine({ bridge: now, offset, mac, tftpPort }, signal);
    await attachTap(name, { bridge: now, mac }, signal);
  };
  return {
    ...connection(bridge, tftpPort, offset, undo.move()),
    join: (mac, signal) => explain(bridge.name, join(mac, signal)),
  };
}

/** Without what there was of the instance's connection, and of the one that is made with the stack. */
async function cleared(bridge: Bridge, { offset, log }: HostNetworkOptions): Promise<AsyncDisposableStack> {
  await disconnect(offset);
  const undo = new AsyncDisposableStack();
  undo.defer(() => disconnectAfterwards(bridge, offset, log));
  return undo;
}

function connection(
  { address }: Bridge,
  tftpPort: number,
  offset: number,
  resources: AsyncDisposableStack,
): Connection {
  return {
    network: { kind: "bridge", interfaceName: interfaceName(offset), tftpAddress: address, tftpPort },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** What stays behind is removed before the instance's next machine, and so is no reason for losing this one's result. */
async function disconnectAfterwards({ name }: Bridge, offset: number, log: Log): Promise<void> {
  try {
    await explain(name, disconnect(offset));
  } catch (error) {
    assertFailure(error);
    log.error(
      { interface: interfaceName(offset), reason: error.message },
      "machine's connection not removed",
    );
  }
}

/** The interface goes first: it is never on the bridge without rules, and one that stays, as it is another's, keeps them. */
async function disconnect(offset: number): Promise<void> {
  await removeTap(interfaceName(offset));
  await expelMachine(offset);
}
