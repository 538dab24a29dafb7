/** A TFTP client that says exactly what a test tells it to, on a socket of its own. */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { patienceMs } from "../../fixtures/patience.ts";

export interface Packet {
  opcode: number;
  /** Block number, or the code of an error. */
  number: number;
  /** Payload of data, message of an error, options of an OACK. */
  data: Buffer;
  port: number;
}

export const RRQ = 1;
export const WRQ = 2;
export const DATA = 3;
export const ACK = 4;
export const ERROR = 5;
export const OACK = 6;

export class Client implements AsyncDisposable {
  readonly socket: Socket;
  readonly #waiting: Packet[] = [];
  #wake: () => void = () => {};
  /** Where the transfer's packets go: learnt from the first answer. */
  transferPort = 0;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("message", (message, from) => this.#onMessage(message, from));
  }

  static async open(address = "127.0.0.1"): Promise<Client> {
    const socket = createSocket({ type: "udp4", lookup: (host, _options, done) => done(null, host, 4) });
    const listening = once(socket, "listening");
    socket.bind(0, address);
    await listening;
    return new Client(socket);
  }

  #onMessage(message: Buffer, from: RemoteInfo): void {
    if (this.transferPort === 0) this.transferPort = from.port;
    const opcode = message.readUInt16BE(0);
    const hasNumber = opcode !== OACK;
    const data = message.subarray(hasNumber ? 4 : 2);
    this.#waiting.push({ opcode, number: hasNumber ? message.readUInt16BE(2) : 0, data, port: from.port });
    this.#wake();
  }

  /** Sends any bytes. */
  send(bytes: Buffer, port = this.transferPort, address = "127.0.0.1"): void {
    this.socket.send(bytes, port, address);
  }

  request(opcode: number, port: number, name: string | Buffer, options: Record<string, unknown> = {}): void {
    this.transferPort = 0;
    this.send(requestPacket(opcode, name, options), port);
  }

  ack(block: number): void {
    this.send(packet(ACK, block));
  }

  data(block: number, data: Buffer): void {
    this.send(packet(DATA, block, data));
  }

  /** The next packet; fails after a while. */
  async next(timeoutMs = patienceMs): Promise<Packet> {
    const got = await this.poll(timeoutMs);
    if (got === undefined) throw new Error(`no packet within ${timeoutMs} ms`);
    return got;
  }

  /** The next packet, or undefined if none comes in time. */
  async poll(timeoutMs: number): Promise<Packet | undefined> {
    if (this.#waiting.length === 0)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    return this.#waiting.shift();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.socket, "close");
    this.socket.close();
    await closed;
  }
}

export function packet(opcode: number, number: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(opcode, 0);
  head.writeUInt16BE(number & 0xffff, 2);
  return Buffer.concat([head, data]);
}

export function requestPacket(
  opcode: number,
  name: string | Buffer,
  options: Record<string, unknown> = {},
  mode = "octet",
): Buffer {
  const fields = Object.entries(options).flat().map(String);
  const rest = Buffer.from([mode, ...fields].map((field) => `${field}\0`).join(""));
  return Buffer.concat([Buffer.from([0, opcode]), Buffer.from(name), Buffer.from([0]), rest]);
}

/** The options of an OACK. */
export function readOptions(data: Buffer): Record<string, string> {
  const fields = data.toString("latin1").split("\0");
  const options: Record<string, string> = {};
  for (let i = 0; i + 1 < fields.length; i += 2) options[fields[i]!] = fields[i + 1]!;
  return options;
}

/** Reads a whole file in lock step. @throws the server's error. */
export async function get(
  port: number,
  name: string | Buffer,
  options: Record<string, unknown> = {},
): Promise<Buffer> {
  await using client = await Client.open();
  client.request(RRQ, port, name, options);
  const blocks: Buffer[] = [];
  let blockSize = 512;
  let windowSize = 1;
  for (let inWindow = 0; ;) {
    const got = await client.next();
    if (got.opcode === ERROR) throw new TftpError(got);
    if (got.opcode === OACK) {
      const granted = readOptions(got.data);
      blockSize = Number(granted["blksize"] ?? 512);
      windowSize = Number(granted["windowsize"] ?? 1);
      client.ack(0);
      continue;
    }
    if (got.number !== ((blocks.length + 1) & 0xffff)) continue;
    blocks.push(got.data);
    const isLast = got.data.length < blockSize;
    if (isLast || ++inWindow === windowSize) {
      client.ack(blocks.length);
      inWindow = 0;
    }
    if (isLast) return Buffer.concat(blocks);
  }
}

/** Writes a whole file. @throws the server's error. */
export async function put(
  port: number,
  name: string | Buffer,
  content: Buffer,
  options: Record<string, unknown> = {},
): Promise<void> {
  await using client = await Client.open();
  client.request(WRQ, port, name, options);
  let blockSize = 512;
  let windowSize = 1;
  let sent = 0;
  for (;;) {
    const got = await client.next();
    if (got.opcode === ERROR) throw new TftpError(got);
    if (got.opcode === OACK) {
      const granted = readOptions(got.data);
      blockSize = Number(granted["blksize"] ?? 512);
      windowSize = Number(granted["windowsize"] ?? 1);
    } else if (got.number !== (sent & 0xffff)) continue;
    const blocks = Math.floor(content.length / blockSize) + 1;
    if (sent === blocks) return;
    for (const end = Math.min(sent + windowSize, blocks); sent < end; sent++)
      client.data(sent + 1, content.subarray(sent * blockSize, (sent + 1) * blockSize));
  }
}

export class TftpError extends Error {
  readonly code: number;

  constructor(got: Packet) {
    super(got.data.toString("latin1").replace(/\0$/, ""));
    this.code = got.number;
  }
}
