import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import errors, { type TftpError } from "tftp/lib/protocol/errors.js";
import opcodes from "tftp/lib/protocol/opcodes.js";
import packets from "tftp/lib/protocol/packets/index.js";
import type { PacketSocket } from "tftp/lib/protocol/server/incoming-request.js";
import { toRefusal } from "./files.ts";

export interface Peer {
  address: string;
  port: number;
}

/** A datagram socket for numeric addresses only: Node would look them up again for every packet sent. */
export function makeSocket(address: string, receiveBufferBytes?: number): Socket {
  return createSocket({
    type: isIPv6(address) ? "udp6" : "udp4",
    lookup: (host, _options, done) => done(null, host, isIPv6(host) ? 6 : 4),
    ...(receiveBufferBytes === undefined ? {} : { recvBufferSize: receiveBufferBytes }),
  });
}

/** True for what must never be answered: no opcode to read, nowhere to answer to, or an error (two servers would
 * answer each other's for ever). */
export function isUnanswerable(datagram: Buffer, from: RemoteInfo): boolean {
  return from.port === 0 || datagram.length < 2 || datagram.readUInt16BE(0) === opcodes.ERROR;
}

/** Sends a TFTP error; one that does not get through is nobody's business. */
export function sendError(socket: Socket, error: TftpError, to: Peer): void {
  socket.send(packets.error.serialize(error), to.port, to.address, () => {});
}

/** Receive buffer of a transfer: a full window of small datagrams costs the kernel several times its payload. */
const receiveBufferBytes = 1024 * 1024;

/**
 * The socket of one transfer, between the kernel and the package, which trusts it in everything:
 *
 * - it is bound to the server's address (the package asks for all addresses);
 * - packets from anyone but the peer get "unknown transfer ID" (RFC 1350, section 4) and go no further;
 * - packets too short for their opcode and block number are dropped (the package reads beyond their end, and throws);
 * - a socket that cannot be made (no descriptors left) is a refusal, and no uncaught error event.
 */
export class TransferSocket implements PacketSocket {
  readonly #socket: Socket;
  readonly #peer: Peer;
  #closed = false;

  private constructor(socket: Socket, peer: Peer) {
    this.#socket = socket;
    this.#peer = peer;
  }

  /** Makes the socket, on a free port. @throws {Refusal} for instance when no descriptors are left. */
  static open(address: string, peer: Peer): Promise<TransferSocket> {
    const socket = makeSocket(address, receiveBufferBytes);
    return new Promise((resolve, reject) => {
      socket.once("error", (error) => {
        socket.close();
        reject(toRefusal(error));
      });
      socket.bind(0, address, () => {
        socket.removeAllListeners("error");
        // An error nobody waits for: the transfer is missing packets then, which it knows how to bear.
        socket.on("error", () => {});
        resolve(new TransferSocket(socket, peer));
      });
    });
  }

  on(event: "error" | "close" | "message", listener: (argument: never) => void): this {
    if (event === "message") {
      const receive = listener as (message: Buffer) => void;
      this.#socket.on("message", (message, from) => {
        if (this.#closed) return;
        if (from.port !== this.#peer.port || from.address !== this.#peer.address)
          this.#turnAway(message, from);
        else if (message.length >= 4) receive(message);
      });
    } else if (event === "error") {
      const fail = listener as (error: Error) => void;
      this.#socket.on("error", (error: Error) => {
        this.close();
        fail(error);
      });
    } else this.#socket.on("close", listener as () => void);
    return this;
  }

  #turnAway(message: Buffer, from: RemoteInfo): void {
    if (!isUnanswerable(message, from)) sendError(this.#socket, errors.ETID, from);
  }

  bind(_port: number, _address: string | null, listening: () => void): void {
    // It is bound already; not at once, because this is called from constructors.
    queueMicrotask(listening);
  }

  address(): Peer {
    return this.#socket.address();
  }

  /** Sends a whole buffer; a packet that the kernel does not take is a lost packet. */
  send(buffer: Buffer, _offset: number, _length: number, port: number, address: string): void {
    if (!this.#closed) this.#socket.send(buffer, port, address);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}
