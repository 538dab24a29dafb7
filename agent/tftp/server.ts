/**
 * The TFTP server of one build machine (RFC 1350; options: RFC 2347, 2348, 2349, 7440).
 *
 * Clients read below one directory and write below another, and are not trusted: what they can do at worst is keep
 * their own server busy. Everything they can make it hold is bounded: transfers, bytes per transfer, bytes and files
 * written. Requests are taken apart in `request.ts`, transfers are in `read.ts` and `write.ts`.
 */
import type { RemoteInfo, Socket } from "node:dgram";
import { EventEmitter, once } from "node:events";
import { realpath } from "node:fs/promises";
import { isIPv4 } from "node:net";
import errors from "tftp/lib/protocol/errors.js";
import { Failure, reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { findTarget, memoryFile, openReadable, toTftpRefusal } from "./files.ts";
import { Partings } from "./partings.ts";
import { ReadTransfer } from "./read.ts";
import { checkRequest, readRequest, TftpRefusal, type RequestOptions, type TftpRequest } from "./request.ts";
import type { TftpPort } from "./port.ts";
import type { Requesters, Verdict } from "./requesters.ts";
import { bindSocket, isUnanswerable, sendError, TransferSocket, type Peer } from "./socket.ts";
import type { Transfer, TransferSettings } from "./transfer.ts";
import { Upload, UploadBudget } from "./upload.ts";
import { WriteTransfer } from "./write.ts";

/** Most transfers at a time; a client needs one or two. Each holds at most some 700 KiB. */
const transferMaximum = 64;
/** Who has sent nothing for so long gives its place to another, where there are too many: a build may begin many and finish none. */
const silenceMaximumMs = 10_000;
/** Most completed uploads that wait for their last block to be repeated; the oldest leaves. */
const dallyingMaximum = 32;
/** How exact time-outs are. */
const tickMs = 100;
/** Most refused requesters that are told to the log. */
const refusalsToldMaximum = 10;

export interface TftpServerOptions {
  /** IPv4; the listening socket and all transfers use this address only. */
  address: string;
  /** 0: any free one. */
  port: number;
  /** Directory that clients read below. */
  readable: string;
  /** Directory that clients write below. */
  writable: string;
  /** How much clients may leave in `writable`, in all. */
  uploadMaxBytes: number;
  /** Holds the port already; else the server has it for its own time. */
  held?: TftpPort | undefined;
  /** Who may ask; asked once per request. */
  requesters: Requesters;
  log: Log;
}

/** Names and reasons are a guest's text. */
export interface TftpEvents {
  request: [request: { method: "get" | "put"; name: string; peer: string }];
  /** A client has read a whole file. */
  read: [name: string, sizeBytes: number];
  /** A file has been written and has its name. */
  complete: [name: string, sizeBytes: number];
  failed: [name: string, reason: string];
  /** A request of somebody who may not ask. */
  refused: [peer: string];
}

/** A request being served; without a transfer while its files are being opened. */
interface Service {
  datagram: Buffer;
  transfer: Transfer | undefined;
}

export class TftpServer extends EventEmitter<TftpEvents> implements AsyncDisposable {
  readonly port: number;
  readonly address: string;
  readonly #readable: string;
  readonly #writable: string;
  readonly #requesters: Requesters;
  readonly #log: Log;
  readonly #socket: Socket;
  readonly #isHeld: boolean;
  readonly #onMessage = (datagram: Buffer, from: RemoteInfo): void => this.#onDatagram(datagram, from);
  readonly #onError = (error: Error): void => this.#log.warn({ reason: error.message }, "TFTP socket error");
  readonly #budget: UploadBudget;
  readonly #services = new Map<string, Service>();
  readonly #starting = new Set<Promise<void>>();
  /** Requests whose sender is being looked up. */
  readonly #judging = new Map<string, Buffer>();
  /** Refused requesters that the log knows. */
  readonly #refused = new Set<string>();
  readonly #transfers = new Set<Transfer>();
  /** Transfers whose files are being opened. */
  #beginning = 0;
  /** Files in memory that go when they have been read. */
  readonly #once = new Map<string, Uint8Array>();
  readonly #dallying = new Set<WriteTransfer>();
  readonly #partings = new Partings();
  #clock: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  private constructor(options: TftpServerOptions, socket: Socket) {
    super();
    this.address = options.address;
    this.#readable = options.readable;
    this.#writable = options.writable;
    this.#requesters = options.requesters;
    this.#log = options.log;
    this.#socket = socket;
    this.#isHeld = options.held !== undefined;
    this.#budget = new UploadBudget(options.uploadMaxBytes);
    this.port = socket.address().port;
    socket.on("message", this.#onMessage);
    socket.on("error", this.#onError);
  }

  /** @throws {Failure} if a directory is missing or the port is taken. */
  static async start(options: TftpServerOptions): Promise<TftpServer> {
    const what = `start a TFTP server on ${options.address} port ${options.port}`;
    const held = await options.held?.hold(options.address, options.port);
    try {
      if (!isIPv4(options.address)) throw new Error("an IPv4 address is needed");
      const [readable, writable] = await Promise.all([
        realpath(options.readable),
        realpath(options.writable),
      ]);
      const socket = held ?? (await bindSocket(options.address, options.port));
      return new TftpServer({ ...options, readable, writable }, socket);
    } catch (error) {
      throw new Failure(what, reasonOf(error), { cause: error });
    }
  }

  /** Has a file read that lies nowhere, until a client has read all of it. */
  offerOnce(name: string, content: Uint8Array): void {
    this.#once.set(name, content);
  }

  #onDatagram(datagram: Buffer, from: RemoteInfo): void {
    if (isUnanswerable(datagram, from)) return;
    const key = `${from.address}:${from.port}`;
    const earlier = this.#services.get(key);
    if (earlier?.datagram.equals(datagram)) {
      // The client has not seen the answer.
      if (earlier.transfer?.isAtStart() ?? true) return earlier.transfer?.repeatFirst();
      // Nor had it when it sent this, which has waited here since: a second transfer would only confuse it. A client that
      // begins anew has been silent, or its file is complete.
      if (earlier.transfer?.isAlive()) return;
    }
    if (this.#judging.get(key)?.equals(datagram)) return;
    const starting = this.#serve(datagram, from, key);
    this.#starting.add(starting);
    void starting.finally(() => this.#starting.delete(starting));
  }

  async #serve(datagram: Buffer, from: Peer, key: string): Promise<void> {
    const service: Service = { datagram, transfer: undefined };
    let name = "";
    try {
      const text = readRequest(datagram);
      if (!(await this.#mayAsk(datagram, from, key))) return;
      ({ name } = text);
      this.emit("request", { method: text.method, name, peer: key });
      const request = checkRequest(text);
      ({ name } = request);
      if (
        this.#transfers.size - this.#dallying.size + this.#beginning >= transferMaximum &&
        !this.#endSilent()
      )
        throw new TftpRefusal(errors.EIO, "Too many transfers");
      this.#services.set(key, service);
      this.#beginning++;
      try {
        service.transfer = await this.#begin(request, from, () => this.#forget(key, service));
      } finally {
        this.#beginning--;
      }
    } catch (error) {
      this.#forget(key, service);
      const refusal = toTftpRefusal(error);
      if (!this.#closing) sendError(this.#socket, refusal.answer, from);
      if (name !== "") this.#failed(name, refusal.message);
    }
  }

  /** Asks once per request, before it counts for anything. */
  async #mayAsk(datagram: Buffer, from: Peer, key: string): Promise<boolean> {
    this.#judging.set(key, datagram);
    const verdict = await this.#requesters.judge(from);
    this.#judging.delete(key);
    if (this.#closing) return false;
    if (verdict === "own") return true;
    // Where nobody can tell, it may be the machine's after all: it asks again.
    if (verdict === "foreign") sendError(this.#socket, notServed, from);
    this.#tellRefused(key, verdict);
    this.emit("refused", key);
    return false;
  }

  #tellRefused(peer: string, verdict: Verdict): void {
    if (this.#refused.has(peer) || this.#refused.size >= refusalsToldMaximum) return;
    this.#refused.add(peer);
    this.#log.warn({ peer, sender: verdict }, "TFTP request refused: it is not from this machine");
    if (this.#refused.size === refusalsToldMaximum)
      this.#log.warn("further refused TFTP requests are not logged");
  }

  /** Ends the transfer that has been silent for the longest time; false if none has been for long. */
  #endSilent(): boolean {
    const nowMs = performance.now();
    let longestMs = silenceMaximumMs;
    let silent: Transfer | undefined;
    for (const transfer of this.#transfers) {
      const isComplete = transfer instanceof WriteTransfer && this.#dallying.has(transfer);
      const silentMs = transfer.silentMs(nowMs);
      if (!isComplete && silentMs >= longestMs) [silent, longestMs] = [transfer, silentMs];
    }
    void silent?.stop(silentError);
    return silent !== undefined;
  }

  #forget(key: string, service: Service): void {
    if (this.#services.get(key) === service) this.#services.delete(key);
  }

  /** Opens what a request needs and starts its transfer. */
  async #begin(request: TftpRequest, peer: Peer, onEnd: () => void): Promise<Transfer> {
    const settings = (socket: TransferSocket, options: RequestOptions | undefined): TransferSettings => ({
      request,
      options,
      peer: { address: peer.address, port: peer.port },
      socket,
      onEnd: (reason) => {
        onEnd();
        this.#onEnd(transfer, reason);
      },
    });
    const transfer = await (request.method === "get"
      ? this.#beginRead(request, peer, settings)
      : this.#beginWrite(request, peer, settings));
    this.#transfers.add(transfer);
    this.#clock ??= setInterval(() => this.#tick(), tickMs);
    return transfer;
  }

  async #beginRead(request: TftpRequest, peer: Peer, settings: SettingsMaker): Promise<ReadTransfer> {
    const once = this.#once.get(request.name);
    const file = once ? memoryFile(once) : await openReadable(this.#readable, request.name);
    try {
      const socket = await TransferSocket.open(this.address, peer, this.#partings);
      return new ReadTransfer(settings(socket, withSize(request.options, file.sizeBytes)), file);
    } catch (error) {
      await file.handle.close();
      throw error;
    }
  }

  async #beginWrite(request: TftpRequest, peer: Peer, settings: SettingsMaker): Promise<WriteTransfer> {
    if (!this.#budget.hasRoomFor(request.options?.tsize ?? 0)) throw new TftpRefusal(errors.ENOSPC);
    const target = await findTarget(this.#writable, request.name);
    const upload = await Upload.open(this.#writable, this.#budget);
    try {
      const socket = await TransferSocket.open(this.address, peer, this.#partings);
      return new WriteTransfer(settings(socket, request.options), upload, target, (transfer) =>
        this.#onComplete(transfer),
      );
    } catch (error) {
      await upload.discard();
      throw error;
    }
  }

  #onComplete(transfer: WriteTransfer): void {
    this.#dallying.add(transfer);
    const [oldest] = this.#dallying;
    if (this.#dallying.size > dallyingMaximum) oldest?.leave();
    const { name } = transfer.request;
    this.#log.step({ file: name, sizeBytes: transfer.sizeBytes }, "file received");
    this.emit("complete", name, transfer.sizeBytes);
  }

  #onEnd(transfer: Transfer, reason: string | undefined): void {
    this.#transfers.delete(transfer);
    if (transfer instanceof WriteTransfer && this.#dallying.delete(transfer)) return;
    const { name } = transfer.request;
    if (reason !== undefined) return this.#failed(name, reason);
    if (!(transfer instanceof ReadTransfer)) return;
    this.#once.delete(name);
    this.#log.step({ file: name, sizeBytes: transfer.sizeBytes }, "file sent");
    this.emit("read", name, transfer.sizeBytes);
  }

  #failed(name: string, reason: string): void {
    this.#log.step({ file: name, reason }, "TFTP transfer failed");
    this.emit("failed", name, reason);
  }

  #tick(): void {
    const nowMs = performance.now();
    for (const transfer of this.#transfers) transfer.tick(nowMs);
    if (this.#transfers.size > this.#dallying.size) return;
    clearInterval(this.#clock);
    this.#clock = undefined;
  }

  /** Ends all transfers; afterwards no socket is open and no unfinished file is left. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    const closed = this.#isHeld ? undefined : once(this.#socket, "close");
    this.#socket.off("message", this.#onMessage);
    if (closed) this.#socket.close();
    await Promise.all(this.#starting);
    await Promise.all([...this.#transfers].map((transfer) => transfer.stop(closingError)));
    clearInterval(this.#clock);
    this.#partings[Symbol.dispose]();
    await closed;
    this.#socket.off("error", this.#onError);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

type SettingsMaker = (socket: TransferSocket, options: RequestOptions | undefined) => TransferSettings;

/** Fills in the size of the file. An empty one's is left out: curl takes a size of 0 for a malformed answer. */
function withSize(options: RequestOptions | undefined, sizeBytes: number): RequestOptions | undefined {
  if (options?.tsize === undefined) return options;
  if (sizeBytes > 0) return { ...options, tsize: sizeBytes };
  const { tsize: _, ...others } = options;
  return Object.keys(others).length > 0 ? others : undefined;
}

const notServed = { ...errors.EACCESS, message: "Only this server's machine is served" };
const silentError = { ...errors.ETIME, message: "Timed out: others need the place" };
const closingError = { ...errors.EIO, message: "Server is closing" };
