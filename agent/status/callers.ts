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
  type SocketAddress,
} from "../../os/network/socket-owner.ts";
import { offsetMaximum } from "../settings/settings.ts";
import type { Reported } from "./reported.ts";

export class Callers {
  readonly #reported: Pick<Reported, "settings">;
  readonly #log: Log;
  readonly #known = new WeakMap<Socket, Promise<boolean>>();
  /** The look before, with its pause. */
  #before: Promise<void> = Promise.resolve();

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

  async #look({ remoteAddress = "", remotePort = 0 }: Socket): Promise<boolean> {
    const address = remoteAddress.replace(/^::ffff:/i, "");
    if (!isOfThisHost(address)) return false;
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#before;
    this.#before = promise;
    await before;
    const startMs = performance.now();
    try {
      return await this.#isOwnedByMachine({ address, port: remotePort });
    } catch (error) {
      this.#log.warn({ reason: reasonOf(error) }, "cannot tell who asks for the status");
      return true;
    } finally {
      void pauseAfterLook(startMs).then(resolve); // a guest that asks and asks does not keep the agent busy
    }
  }

  async #isOwnedByMachine(peer: SocketAddress): Promise<boolean> {
    const sockets = (await lookForSockets(readTcpTable, [peer]))[0]!;
    if (sockets.length === 0) return true;
    const { machineUid, offset, runtime } = this.#reported.settings;
    const first = machineUid - offset;
    if (machineUid > 0 && sockets.some(({ uid }) => uid > first && uid <= first + offsetMaximum)) return true;
    // Machines of this very user: that of an agent that is not root.
    const ours = sockets.filter(({ uid }) => uid === process.getuid!());
    if (ours.length === 0) return false;
    const root = dirname(runtime);
    for (const instance of listInstances(root)) {
      const pid = await pidOf(join(root, instance));
      const inodes =
        pid === undefined ? new Set<string>() : await socketsOf(pid).catch(() => new Set<string>());
      if (ours.some(({ inode }) => inodes.has(inode))) return true;
    }
    return false;
  }
}

function isOfThisHost(address: string): boolean {
  if (!isIPv4(address)) return false;
  if (address.startsWith("127.")) return true;
  return Object.values(networkInterfaces()).some((all) => all!.some((one) => one.address === address));
}
