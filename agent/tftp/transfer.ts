/**
 * A transfer, built on the package's `IncomingRequest`: it makes the socket, tells packets apart, refuses what does
 * not belong into a transfer, formats and sends errors and answers, and ends. Replaced are, because their structure
 * does not bear repair:
 *
 * - its `Reader`, `Writer` and streams, by `read.ts` and `write.ts`: a reader never sorts what arrives out of order,
 *   acknowledges the last block and closes before anything is on disk, and is gone when that acknowledgement is
 *   lost; a writer loses count when block numbers begin again, copies each block twice and holds a timer per block;
 * - its listening server, by `server.ts`: it opens a socket per datagram before looking at it, refuses the
 *   repetition of a request, and reads and writes files wherever a name leads;
 * - the answer to options, here: it leaves out `timeout`, and does not act on it.
 *
 * Time is kept by the server calling `tick`, not by timers of the transfers.
 */
import { performance } from "node:perf_hooks";
import errors, { type TftpError } from "tftp/lib/protocol/errors.js";
import packets from "tftp/lib/protocol/packets/index.js";
import IncomingRequest from "tftp/lib/protocol/server/incoming-request.js";
import type { RequestOptions, TftpRequest } from "./request.ts";
import type { Peer, TransferSocket } from "./socket.ts";

/** So often the last packet is sent again before the peer is given up. */
const repetitions = 6;
/** Without a `timeout` option the wait is 1, 2, 4, 8, 8, … seconds: 39 in all. */
const firstTimeoutMs = 1000;
const longestTimeoutMs = 8000;

export interface TransferSettings {
  request: TftpRequest;
  /** The request's options as granted. */
  options: RequestOptions | undefined;
  peer: Peer;
  socket: TransferSocket;
  /** Called once, when the transfer has ended and holds nothing any more; without a reason if it succeeded. */
  onEnd: (reason?: string) => void;
}

export abstract class Transfer extends IncomingRequest {
  readonly request: TftpRequest;
  /** Settled when nothing of the transfer is left. */
  readonly ended: Promise<void>;
  protected blockSize = 512;
  protected windowSize = 1;
  protected readonly socket: TransferSocket;
  readonly #options: RequestOptions | undefined;
  readonly #resolveEnded: () => void;
  readonly #onEnd: (reason?: string) => void;
  #firstAnswer: Buffer | undefined;
  #isEnding = false;
  #repeated = 0;
  #deadlineMs: number;
  /** When the peer has last sent something new. */
  #newsMs = performance.now();

  constructor(settings: TransferSettings) {
    super({
      helper: { _rinfo: settings.peer, _socket: settings.socket },
      message: { file: settings.request.name, extensions: settings.options ?? null, userExtensions: {} },
      globalOptions: { retries: repetitions, extensions: { timeout: firstTimeoutMs } },
      reader: settings.request.method === "put",
    });
    this.request = settings.request;
    this.socket = settings.socket;
    this.#options = settings.options;
    this.#onEnd = settings.onEnd;
    this.#deadlineMs = performance.now() + this.#timeoutMs();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#resolveEnded = resolve;
  }

  /** Acts on the passing of time: sends the last packet again, or gives up. */
  tick(nowMs: number): void {
    if (this.#isEnding || nowMs < this.#deadlineMs) return;
    if (this.isWaitingForDisk()) return this.progressed();
    if (this.#repeated >= repetitions) return this._sendErrorAndClose(errors.ETIME);
    this.#repeated++;
    this.#deadlineMs = nowMs + this.#timeoutMs();
    this.repeat();
  }

  /** The client has sent its request again: it has not seen the answer. */
  repeatFirst(): void {
    if (!this.#isEnding && this.isAtStart()) this.repeat();
  }

  /** Ends the transfer at once, as failed. */
  async stop(error: TftpError): Promise<void> {
    if (!this._closing) this._sendErrorAndClose(error);
    await this.ended;
  }

  /** True while the client sends something new from time to time. */
  isAlive(): boolean {
    return !this.#isEnding && this.#repeated === 0;
  }

  /** How long the peer has sent nothing new that it could have sent. */
  silentMs(nowMs: number): number {
    return this.#isEnding || this._closing || this.isWaitingForDisk() ? 0 : nowMs - this.#newsMs;
  }

  /** True as long as the client may be waiting for the first answer. */
  abstract isAtStart(): boolean;
  /** True if not the peer, but this side holds the transfer up. */
  protected abstract isWaitingForDisk(): boolean;
  /** Sends what the peer seems to have missed. */
  protected abstract repeat(): void;
  /** Gives back files. */
  protected abstract release(): Promise<void>;

  /** The peer has sent something new. */
  protected progressed(): void {
    this.#repeated = 0;
    this.#newsMs = performance.now();
    this.#firstAnswer = undefined;
    this.#deadlineMs = performance.now() + this.#timeoutMs();
  }

  #timeoutMs(): number {
    if (this.#options?.timeout !== undefined) return this.#options.timeout * 1000;
    return Math.min(longestTimeoutMs, firstTimeoutMs * 2 ** this.#repeated);
  }

  protected repeatOptions(): boolean {
    if (this.#firstAnswer !== undefined) this._send(this.#firstAnswer);
    return this.#firstAnswer !== undefined;
  }

  // What the package calls.

  protected override _sendErrorAndClose(error: TftpError): void {
    if (this._closing || this._closed) return;
    this.socket.sendLast(error);
    this._closeWithError(error);
  }

  protected override _sendOackMessage(): void {
    const options = this.#options ?? {};
    this._oackSent = true;
    this._onReady(this._createStats(options.blksize ?? 512, options.windowsize ?? 1), 0, true);
    this.#firstAnswer = packets.oack.serialize({ ...options });
    this._send(this.#firstAnswer);
  }

  protected override _onReady(
    stats: { blockSize: number; windowSize: number },
    _rollover: number,
    _hasOptions?: boolean,
  ): void {
    this.blockSize = stats.blockSize;
    this.windowSize = stats.windowSize;
  }

  protected override _onError(error: Error): void {
    void this.#end(error.message || "The client has ended the transfer");
  }

  protected override _onAbort(): void {
    void this.#end("Aborted");
  }

  protected override _onClose(): void {
    void this.#end();
  }

  async #end(reason?: string): Promise<void> {
    if (this.#isEnding) return;
    this.#isEnding = true;
    await this.release();
    this.#onEnd(reason);
    this.#resolveEnded();
  }
}
