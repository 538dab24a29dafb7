import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import errors, { type TftpError } from "tftp/lib/protocol/errors.js";
import opcodes from "tftp/lib/protocol/opcodes.js";
import packets from "tftp/lib/protocol/packets/index.js";
import type { PacketSocket } from "tftp/lib/protocol/server/incoming-request.js";
import {
  isSameAddress,
  openUdp,
  packAddress,
  receiveUdp,
  segmentLimit,
  sendUdp,
  setSegmentSize,
  type SocketAddress,
  unpackAddress,
} from "../../os/network/udp.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { refusing } from "./files.ts";
import type { Partings } from "./partings.ts";

export interface Peer {
  address: string;
  port: number;
}

/** An IPv4 socket that is given numeric addresses only: Node would look them up again for every packet sent. */
function makeSocket(receiveBufferBytes?: number): Socket {
  return createSocket({
    type: "udp4",
    lookup: (host, _options, done) => done(null, host, 4),
    ...withoutUndefined({ recvBufferSize: receiveBufferBytes }),
  });
}

/** Such a socket on a port of an address; closed again if that cannot be had. */
export async function bindSocket(address: string, port: number): Promise<Socket> {
  const socket = makeSocket();
  try {
    const listening = once(socket, "listening");
    socket.bind(port, address);
    await listening;
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

/** True for what must never be answered: no opcode to read, nowhere to answer to, or an error (two servers would
 * answer each other's for ever). */
export function isUnanswerable(datagram: Buffer, from: Peer): boolean {
  return from.port === 0 || datagram.length < 2 || datagram.readUInt16BE(0) === opcodes.ERROR;
}

/** Sends a TFTP error; one that does not get through is nobody's business. */
export function sendError(socket: Socket, error: TftpError, to: Peer): void {
  socket.send(packets.error.serialize(error), to.port, to.address, () => {});
}

/** Receive buffer of a transfer: a full window of small datagrams costs the kernel several times its payload. */
const receiveBufferBytes = 1024 * 1024;

/** So many packets are taken at a time before others get their turn. */
const burstMaximum = 64;
const burstPacket = Buffer.allocUnsafeSlow(65536);
const burstSender: SocketAddress = packAddress("0.0.0.0", 0);

/**
 * The socket of one transfer, between the kernel and the package, which trusts it in everything:
 *
 * - it is bound to the server's address (the package asks for all addresses);
 * - packets from anyone but the peer get "unknown transfer ID" (RFC 1350, section 4) and go no further;
 * - packets too short for their opcode and block number are dropped (the package reads beyond their end, and throws);
 * - a socket that cannot be made (no descriptors left) is a refusal, and no uncaught error event;
 * - after an error it stays and says it again: a peer that sends once more before it reads what has come would be told by
 *   the kernel that there is nobody, and never read why.
 */
export class TransferSocket implements PacketSocket, Disposable {
  readonly #socket: Socket;
  readonly #fd: number;
  readonly #peer: Peer;
  readonly #to: SocketAddress;
  readonly #partings: Partings;
  #lastWords: Buffer | undefined;
  #onClose: () => void = () => {};
  #segmentBytes = 0;
  #expectsBursts = false;
  #closed = false;

  private constructor(socket: Socket, fd: number, peer: Peer, partings: Partings) {
    this.#socket = socket;
    this.#fd = fd;
    this.#peer = peer;
    this.#partings = partings;
    this.#to = packAddress(peer.address, peer.port);
  }

  /** Makes the socket, on a free port. @throws {TftpRefusal} for instance when no descriptors are left. */
  static async open(address: string, peer: Peer, partings: Partings): Promise<TransferSocket> {
    const fd = await refusing(async () => openUdp(address, 0));
    const socket = makeSocket(receiveBufferBytes);
    const listening = once(socket, "listening");
    socket.bind({ fd, exclusive: true });
    await listening;
    // An error nobody waits for: a packet is missing then, which transfers know how to bear.
    socket.on("error", () => {});
    return new TransferSocket(socket, fd, peer, partings);
  }

  on(event: "error" | "close" | "message", listener: (argument: never) => void): this {
    if (event === "message") {
      const receive = listener as (message: Buffer) => void;
      this.#socket.on("message", (message, from) => {
        const isPeer = from.port === this.#peer.port && from.address === this.#peer.address;
        if (!isPeer) this.#turnAway(message, from);
        else if (this.#closed) return this.#part(message, from);
        else if (message.length >= 4) receive(message);
        if (this.#expectsBursts) this.#receiveWaiting(receive);
      });
    } else if (event === "close") this.#onClose = listener as () => void;
    return this;
  }

  /** Takes what has come in behind a packet: much cheaper than waiting for `node:dgram` to bring each. */
  #receiveWaiting(receive: (message: Buffer) => void): void {
    for (let i = 0; i < burstMaximum && !this.#closed; i++) {
      const length = receiveUdp(this.#fd, burstPacket, burstSender);
      if (length < 0) return;
      const message = burstPacket.subarray(0, length);
      if (!isSameAddress(burstSender, this.#to)) this.#turnAway(message, unpackAddress(burstSender));
      else if (length >= 4) receive(message);
    }
  }

  /** Tells that many packets will come at a time. From then on a message is only valid while it is being received. */
  expectBursts(): void {
    this.#expectsBursts = true;
  }

  #turnAway(message: Buffer, from: Peer): void {
    if (!isUnanswerable(message, from)) sendError(this.#socket, errors.ETID, from);
  }

  bind(_port: number, _address: string | null, listening: () => void): void {
    // It is bound already; not at once, because this is called from constructors.
    queueMicrotask(listening);
  }

  address(): Peer {
    return this.#socket.address();
  }

  /** Sends a packet; one that the kernel does not take is a lost packet. */
  send(packet: Buffer): void {
    if (this.#closed) return;
    // Later, from a copy: the buffer may have been filled again by then.
    if (sendUdp(this.#fd, packet, this.#to) === "EAGAIN")
      this.#socket.send(Buffer.from(packet), this.#peer.port, this.#peer.address);
  }

  /** Prepares for {@link sendRun} with packets of this size. @returns how many packets a run may have. */
  expectRuns(packetBytes: number): number {
    // All that is sent is cut up from now on: answers and errors, which are shorter than this, must stay whole.
    if (packetBytes >= 256 && setSegmentSize(this.#fd, packetBytes)) this.#segmentBytes = packetBytes;
    return segmentLimit(packetBytes);
  }

  /** Sends packets that lie one behind the other, all of the same size but the last one, which may be shorter. */
  sendRun(packets: Buffer, packetBytes: number): void {
    if (this.#closed) return;
    if (this.#segmentBytes === packetBytes) {
      const error = sendUdp(this.#fd, packets, this.#to);
      if (error === undefined) return;
      // The way to the peer does not bear it: smaller packets (EINVAL), no checksums (EIO).
      if (error !== "EAGAIN") setSegmentSize(this.#fd, (this.#segmentBytes = 0));
    }
    for (let start = 0; start < packets.length; start += packetBytes)
      this.send(packets.subarray(start, start + packetBytes));
  }

  /** Sends an error; whatever still comes from the peer after {@link close} is answered with it. */
  sendLast(error: TftpError): void {
    this.#lastWords = packets.error.serialize(error);
    this.send(this.#lastWords);
  }

  #part(message: Buffer, from: Peer): void {
    if (this.#lastWords !== undefined && !isUnanswerable(message, from))
      sendUdp(this.#fd, this.#lastWords, this.#to);
  }

  /** Ends the transfer's use of it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#lastWords === undefined) this.#socket.close();
    else this.#partings.add(this);
    queueMicrotask(this.#onClose);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#socket.close();
  }
}
