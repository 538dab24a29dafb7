/**
 * The network of a group alone: an Ethernet switch in this process, between machines that perform one task together.
 *
 * A machine is connected by a socket that has no name, which its hypervisor inherits: nobody else can get at it, on
 * whatever network the machines are besides, and frames go nowhere but to the group. In the stream each frame comes after
 * its length, 4 bytes in network order: what QEMU's `-netdev stream` speaks.
 *
 * Guests are hostile. A machine says nothing as another one: frames from another MAC address than its own are dropped. One
 * that does not take its frames loses them, as on a cable; one whose stream makes no sense is cut off. A flood takes turns
 * with all else that this process does, and is held back beyond a limit.
 */
import type { Duplex } from "node:stream";
import { throttle } from "../../os/throttle.ts";

/** Of a frame: 64 KiB of a segment that the sender's device left whole, with its headers. */
const frameMaxBytes = 65_536 + 4096;
/** What may wait for a machine that is slow to take it. */
const waitingMaxBytes = 1024 * 1024;
const portBytesPerSecond = 64 * 1024 * 1024;

interface Port {
  mac: string;
  stream: Duplex;
}

export class GroupSwitch implements Disposable {
  readonly #ports = new Map<string, Port>();

  /** Connects a machine, in place of an earlier start of it. */
  attach(mac: string, stream: Duplex): void {
    const own = { mac: mac.toLowerCase(), stream };
    this.#ports.get(own.mac)?.stream.destroy();
    this.#ports.set(own.mac, own);
    const detach = () => {
      if (this.#ports.get(own.mac) === own) this.#ports.delete(own.mac);
    };
    stream.on("error", detach);
    stream.on("close", detach);
    let pending: Buffer = Buffer.alloc(0);
    throttle(stream, portBytesPerSecond, (chunk) => {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      while (pending.length >= 4) {
        const length = pending.readUInt32BE(0);
        if (length > frameMaxBytes) return void stream.destroy();
        if (pending.length < 4 + length) break;
        this.#forward(own, pending.subarray(0, 4 + length));
        pending = pending.subarray(4 + length);
      }
      if (pending.length > 0) pending = Buffer.from(pending); // else it keeps the whole chunk
    });
  }

  /** @param framed a frame after its length */
  #forward(from: Port, framed: Buffer): void {
    if (framed.length < 4 + 14 || macAt(framed, 10) !== from.mac) return;
    const isForMany = (framed[4]! & 1) === 1;
    const to = isForMany ? [...this.#ports.values()] : [this.#ports.get(macAt(framed, 4))];
    for (const port of to) {
      if (port === undefined || port === from || !port.stream.writable) continue;
      if (port.stream.writableLength < waitingMaxBytes) port.stream.write(Buffer.from(framed));
    }
  }

  [Symbol.dispose](): void {
    for (const { stream } of this.#ports.values()) stream.destroy();
    this.#ports.clear();
  }
}

function macAt(bytes: Buffer, at: number): string {
  return bytes
    .toString("hex", at, at + 6)
    .replace(/..(?!$)/g, "$&:")
    .toLowerCase();
}
