/**
 * The port of an instance's TFTP servers, held from before controllers are asked: a task is not taken to find that its
 * machine cannot get it. Between two boots, what arrives is read and dropped.
 */
import type { Socket } from "node:dgram";
import { once } from "node:events";
import { attempt } from "../../os/failure.ts";
import { bindSocket } from "./socket.ts";

export class TftpPort implements AsyncDisposable {
  #held: { address: string; port: number; socket: Socket } | undefined;

  /**
   * Takes the port, or gives the socket that has it.
   *
   * @throws {Failure} if it cannot be had.
   */
  async hold(address: string, port: number): Promise<Socket> {
    if (this.#held?.address === address && this.#held.port === port) return this.#held.socket;
    await this[Symbol.asyncDispose]();
    const socket = await attempt(`take the TFTP port ${port} on ${address}`, bindSocket(address, port));
    socket.on("error", () => {}); // a server that uses it tells; without one nobody waits for anything
    socket.unref();
    this.#held = { address, port, socket };
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const socket = this.#held?.socket;
    this.#held = undefined;
    if (!socket) return;
    const closed = once(socket, "close");
    socket.close();
    await closed;
  }
}
