/**
 * Who may not read the status pages: the machines. The user network shows a guest the loopback of its host, where these
 * pages tell of other builds.
 */
import { isIPv4, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { dirname, join } from "node:path";
import { pidOf } from "../../machines/qemu/runtime-files.ts";
import { listInstances } from "../../machines/runtime-directory.ts";
import { reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import {
  lookForSockets,
  pauseAfterLook,
  readTcpTable,
  socketsOf,
  type HostSocket,
  type SocketAddress,
} from "../../os/network/socket-owner.ts";
import { offsetMaximum } from "../settings/settings.ts";
import type { Reported } from "./reported.ts";

interface Waiting {
  peer: SocketAddress;
  decide: (isMachine: boolean) => void;
}

export class Callers {
  readonly #reported: Pick<Reported, "settings">;
  readonly #log: Log;
  readonly #known = new WeakMap<Socket, Promise<boolean>>();
  /** Connections of this host whose owners are to be looked for, by one look for all. */
  #waiting: Waiting[] = [];
  #isLooking = false;

  constructor(reported: Pick<Reported, "settings">, log: Log) {
    this.#reported = reported;
    this.#log = log;
  }

  /** Whether a machine of this host is at the other end; also if a connection of this host has no owner. Never fails. */
  isMachine(connection: Socket): Promise<boolean> {
    const known = this.#known.get(connection) ?? this.#look(connection);
    this.#known.set(connection, known);
    return known;
  }

  #look({ remoteAddress = "", remotePort = 0 }: Socket): Promise<boolean> {
    const address = remoteAddress.replace(/^::ffff:/i, "");
    if (!isOfThisHost(address)) return Promise.resolve(false);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#waiting.push({ peer: { address, port: remotePort }, decide: resolve });
    if (!this.#isLooking) void this.#lookWhileAsked();
    return promise;
  }

  /** After each look comes a pause: a guest that asks and asks does not keep the agent busy, nor others waiting. */
  async #lookWhileAsked(): Promise<void> {
    this.#isLooking = true;
    while (this.#waiting.length > 0) {
      const startMs = performance.now();
      const asked = this.#waiting.splice(0);
      const verdicts = await this.#areMachines(asked.map(({ peer }) => peer)).catch((error: unknown) => {
        this.#log.warn({ reason: reasonOf(error) }, "cannot tell who asks for the status");
        return asked.map(() => true);
      });
      for (const [i, { decide }] of asked.entries()) decide(verdicts[i] ?? true);
      await pauseAfterLook(startMs);
    }
    this.#isLooking = false;
  }

  async #areMachines(peers: readonly SocketAddress[]): Promise<boolean[]> {
    const owners = await lookForSockets(readTcpTable, peers);
    const { machineUid, offset, runtime } = this.#reported.settings;
    const first = machineUid - offset;
    const isMachineUser = (uid: number) => machineUid > 0 && uid > first && uid <= first + offsetMaximum;
    // Machines of this very user: that of an agent that is not root.
    const isOurs = ({ uid }: HostSocket) => uid === process.getuid!();
    const machines = owners.flat().some(isOurs) ? await machineSockets(dirname(runtime)) : new Set<string>();
    return owners.map(
      (sockets) =>
        sockets.length === 0 ||
        sockets.some((socket) => isMachineUser(socket.uid) || (isOurs(socket) && machines.has(socket.inode))),
    );
  }
}

/** Inodes of the sockets of all instances' machines. */
async function machineSockets(root: string): Promise<Set<string>> {
  const all = new Set<string>();
  for (const instance of listInstances(root)) {
    const pid = await pidOf(join(root, instance));
    if (pid === undefined) continue;
    for (const inode of await socketsOf(pid).catch(() => [])) all.add(inode);
  }
  return all;
}

function isOfThisHost(address: string): boolean {
  if (!isIPv4(address)) return false;
  if (address.startsWith("127.")) return true;
  return Object.values(networkInterfaces()).some((all) => all?.some((one) => one.address === address));
}
