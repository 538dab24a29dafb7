import type { TftpError } from "tftp/lib/protocol/errors.js";
import { toTftpRefusal } from "./files.ts";
import { TftpRefusal } from "./request.ts";
import { Transfer, type TransferSettings } from "./transfer.ts";
import type { Upload } from "./upload.ts";

/**
 * A client writes a file (RFC 1350; windows: RFC 7440). The last block is acknowledged when the file has its name
 * and is on the disk, so that a client that was told of success has succeeded; then a repetition of that block is acknowledged again until the
 * server needs the place, because the client cannot know that the acknowledgement was lost, and may have been held.
 */
export class WriteTransfer extends Transfer {
  readonly #upload: Upload;
  readonly #target: string;
  readonly #onComplete: (transfer: WriteTransfer) => void;
  /** The block that comes next, counted from 1 without end. */
  #expected = 1;
  #lastAcknowledged = 0;
  #isAnswerDue = false;
  #hasLast = false;
  #gapReported = false;
  #isDallying = false;
  #completing: Promise<void> | undefined;

  constructor(
    settings: TransferSettings,
    upload: Upload,
    target: string,
    onComplete: (transfer: WriteTransfer) => void,
  ) {
    super(settings);
    this.#upload = upload;
    this.#target = target;
    this.#onComplete = onComplete;
    upload.onRelief = () => this.#onRelief();
  }

  protected override _onReady(
    stats: { blockSize: number; windowSize: number },
    rollover: number,
    hasOptions?: boolean,
  ): void {
    super._onReady(stats, rollover, hasOptions);
    if (this.windowSize > 1) this.socket.expectBursts();
  }

  get sizeBytes(): number {
    return this.#upload.sizeBytes;
  }

  protected override _onData({ block, data }: { block: number; data: Buffer }): void {
    if (this._closing || this._closed) return;
    const ahead = (block - this.#expected) & 0xffff;
    if (this.#hasLast || ahead !== 0) return this.#onUnexpected(ahead);
    // Not its turn before it has an answer: what waits for the disk must stay bounded.
    if (this.#unacknowledged >= this.windowSize) return;
    try {
      this.#upload.append(data);
    } catch (error) {
      return this._sendErrorAndClose(toTftpRefusal(error).answer);
    }
    this.progressed();
    this.#gapReported = false;
    this.#expected++;
    this.#hasLast = data.length < this.blockSize;
    if (this.#hasLast) this.#completing = this.#complete();
    else if (this.#unacknowledged >= this.windowSize) this.#acknowledge();
  }

  get #unacknowledged(): number {
    return this.#expected - 1 - this.#lastAcknowledged;
  }

  /** A block out of turn: one that came before, or one behind a gap. */
  #onUnexpected(ahead: number): void {
    if (this.#isAnswerDue || (this.#hasLast && !this.#isDallying)) return;
    if (ahead === 0xffff && this.#unacknowledged === 0) {
      // The last block of a window again: its acknowledgement was lost.
      this._sendAck(this.#lastAcknowledged & 0xffff);
    } else if (ahead > 0 && ahead < this.windowSize && !this.#hasLast && !this.#gapReported) {
      this.#gapReported = true;
      this.#acknowledge();
    }
  }

  /** Acknowledges what has come in, as soon as the disk keeps up. */
  #acknowledge(): void {
    this.#isAnswerDue = this.#upload.isBacklogged;
    if (this.#isAnswerDue) return;
    this.#lastAcknowledged = this.#expected - 1;
    this._sendAck(this.#lastAcknowledged & 0xffff);
  }

  #onRelief(): void {
    if (this._closing || this._closed) return;
    if (this.#upload.failure !== undefined) this.#fail(this.#upload.failure);
    else if (this.#isAnswerDue) {
      this.progressed();
      this.#acknowledge();
    }
  }

  async #complete(): Promise<void> {
    try {
      await this.#upload.complete(this.#target);
    } catch (error) {
      return this.#fail(error);
    }
    this.#acknowledge();
    this.#isDallying = true;
    this.#onComplete(this);
  }

  #fail(error: unknown): void {
    const refusal = error instanceof TftpRefusal ? error : toTftpRefusal(error);
    this._sendErrorAndClose(refusal.answer);
  }

  override tick(nowMs: number): void {
    if (!this.#isDallying) super.tick(nowMs);
  }

  /** True when the file is complete and only repetitions are still answered. */
  get isDallying(): boolean {
    return this.#isDallying;
  }

  /** Ends dallying. */
  leave(): void {
    this._close();
  }

  /** A file that is whole takes its name first: its client would else be told that it has failed. */
  override async stop(error: TftpError): Promise<void> {
    await this.#completing;
    if (this.isDallying) this.leave();
    else await super.stop(error);
    await this.ended;
  }

  override isAlive(): boolean {
    return !this.#isDallying && super.isAlive();
  }

  override isAtStart(): boolean {
    return this.#expected === 1;
  }

  protected override isWaitingForDisk(): boolean {
    return this.#isAnswerDue || this.#hasLast;
  }

  protected override repeat(): void {
    if (!this.repeatOptions()) this.#acknowledge();
  }

  protected override async release(): Promise<void> {
    await this.#completing;
    await this.#upload.discard();
  }
}
