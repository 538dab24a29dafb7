import errors from "tftp/lib/protocol/errors.js";
import opcodes from "tftp/lib/protocol/opcodes.js";
import type { ReadableFile } from "./files.ts";
import { Transfer, type TransferSettings } from "./transfer.ts";

/** The file is read in chunks of about this size, one ahead of the one being sent. */
const chunkBytes = 256 * 1024;

/**
 * A client reads a file (RFC 1350; windows: RFC 7440). Blocks are counted from 1 without end; on the wire their
 * number is taken modulo 65536.
 */
export class ReadTransfer extends Transfer {
  readonly #file: ReadableFile["handle"];
  readonly sizeBytes: number;
  /** The packets under way, one behind the other, by block modulo window size. */
  #window: Buffer = Buffer.alloc(0);
  #packetBytes = 0;
  #runMaximum = 1;
  #blocksPerChunk = 1;
  #chunks: [Chunk, Chunk] | undefined;
  #lastBlock = 0;
  #lastBytes = 0;
  /** The first block not acknowledged yet. */
  #base = 1;
  /** The block to send next. */
  #next = 1;
  /** Frames hold blocks below this one. */
  #filled = 1;
  #started = false;
  #rewound = false;
  #reading: Promise<void> = Promise.resolve();

  constructor(settings: TransferSettings, file: ReadableFile) {
    super(settings);
    this.#file = file.handle;
    this.sizeBytes = file.sizeBytes;
  }

  protected override _onReady(
    stats: { blockSize: number; windowSize: number },
    rollover: number,
    hasOptions?: boolean,
  ): void {
    super._onReady(stats, rollover, hasOptions);
    this.#lastBlock = Math.floor(this.sizeBytes / this.blockSize) + 1;
    this.#blocksPerChunk = Math.max(1, Math.floor(chunkBytes / this.blockSize));
    this.#lastBytes = this.sizeBytes % this.blockSize;
    this.#packetBytes = 4 + this.blockSize;
    this.#window = Buffer.allocUnsafeSlow(this.windowSize * this.#packetBytes);
    if (this.windowSize > 1) this.#runMaximum = this.socket.expectRuns(this.#packetBytes);
    const bytes = Math.min(this.sizeBytes, this.#blocksPerChunk * this.blockSize);
    this.#chunks = [new Chunk(bytes), new Chunk(bytes < this.sizeBytes ? bytes : 0)];
    this.#load(0);
    if (!hasOptions) this.onContinue();
  }

  /** The client agrees with the options, or has none. */
  protected override onContinue(): void {
    this.#started = true;
    this.progressed();
    this.#send();
  }

  protected override _onAck({ block }: { block: number }): void {
    if (this._closing || this._closed) return;
    const ahead = (block - this.#base + 1) & 0xffff;
    const acknowledged = this.#base - 1 + ahead;
    if (acknowledged >= this.#filled) return; // never sent: old, or made up
    if (ahead === 0) {
      // Answering a duplicate acknowledgement would double every packet from there on (RFC 1123, 4.2.3.1). In a
      // window it may say that its first block was lost: once per window it is believed.
      if (this.windowSize === 1 || this.#rewound) return;
      this.#rewound = true;
    } else {
      this.progressed();
      this.#rewound = false;
      this.#base = acknowledged + 1;
      if (acknowledged === this.#lastBlock) return this._close();
    }
    this.#next = this.#base;
    this.#send();
  }

  /** Sends what the window allows, as far as it has been read. */
  #send(): void {
    if (this._closing || this._closed) return;
    const end = Math.min(this.#base + this.windowSize, this.#lastBlock + 1);
    let ready = this.#next;
    while (ready < end && (ready < this.#filled || this.#fill(ready))) ready++;
    while (this.#next < ready) {
      const slot = (this.#next - 1) % this.windowSize;
      const count = Math.min(ready - this.#next, this.windowSize - slot, this.#runMaximum);
      this.#next += count;
      const shorter = this.#next > this.#lastBlock ? this.blockSize - this.#lastBytes : 0;
      const start = slot * this.#packetBytes;
      const packets = this.#window.subarray(start, start + count * this.#packetBytes - shorter);
      if (count === 1) this._send(packets);
      else this.socket.sendRun(packets, this.#packetBytes);
    }
  }

  /** Makes a block's packet in its place in the window; false if the block has not been read yet. */
  #fill(block: number): boolean {
    const index = Math.floor((block - 1) / this.#blocksPerChunk);
    const chunk = this.#chunks![(index % 2) as 0 | 1];
    if (chunk.index !== index || !chunk.isLoaded) return false;
    const offset = ((block - 1) % this.#blocksPerChunk) * this.blockSize;
    if (offset === 0) this.#load(index + 1);
    const place = ((block - 1) % this.windowSize) * this.#packetBytes;
    this.#window.writeUInt16BE(opcodes.DATA, place);
    this.#window.writeUInt16BE(block & 0xffff, place + 2);
    chunk.data.copy(this.#window, place + 4, offset, offset + this.blockSize);
    this.#filled = block + 1;
    return true;
  }

  /** Starts reading a chunk, if there is such a one. */
  #load(index: number): void {
    const start = index * this.#blocksPerChunk * this.blockSize;
    if (start > this.sizeBytes) return;
    const chunk = this.#chunks![(index % 2) as 0 | 1];
    chunk.index = index;
    chunk.isLoaded = false;
    this.#reading = this.#reading.then(() => this.#read(chunk, start));
  }

  async #read(chunk: Chunk, start: number): Promise<void> {
    const bytes = Math.min(chunk.data.length, this.sizeBytes - start);
    try {
      for (let done = 0; done < bytes;) {
        if (this._closing || this._closed) return;
        const { bytesRead } = await this.#file.read(chunk.data, done, bytes - done, start + done);
        if (bytesRead === 0) throw new Error("the file has become shorter");
        done += bytesRead;
      }
    } catch {
      return this._sendErrorAndClose(errors.EIO);
    }
    chunk.isLoaded = true;
    if (this.#started) this.#send();
  }

  override isAtStart(): boolean {
    return this.#base === 1;
  }

  protected override isWaitingForDisk(): boolean {
    return this.#started && this.#next === this.#base;
  }

  protected override repeat(): void {
    if (!this.#started) return void this.repeatOptions();
    this.#next = this.#base;
    this.#rewound = false;
    this.#send();
  }

  protected override async release(): Promise<void> {
    await this.#reading;
    await this.#file.close().catch(() => {});
  }
}

class Chunk {
  readonly data: Buffer;
  index = -1;
  isLoaded = false;

  constructor(bytes: number) {
    this.data = Buffer.allocUnsafeSlow(bytes);
  }
}
