import type { Readable } from "node:stream";
import { open, type FileHandle } from "node:fs/promises";

/** A block of zeros of this size is left out. */
const blockBytes = 64 * 1024;
const zeros = Buffer.alloc(blockBytes);

/** Writes a file that is not there yet, and leaves out what is zero: a disk is mostly empty. */
export class SparseFile implements AsyncDisposable {
  readonly #file: FileHandle;
  #at = 0;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  static async make(path: string): Promise<SparseFile> {
    return new SparseFile(await open(path, "wx", 0o600));
  }

  /** Bytes so far, with those that were left out. */
  get bytes(): number {
    return this.#at;
  }

  async write(chunk: Buffer): Promise<void> {
    for (let start = 0; start < chunk.length;) {
      const end = Math.min(chunk.length, start + blockBytes - (this.#at % blockBytes));
      const piece = chunk.subarray(start, end);
      if (zeros.compare(piece, 0, piece.length, 0, piece.length) !== 0)
        await writeAll(this.#file, piece, this.#at);
      this.#at += piece.length;
      start = end;
    }
  }

  /**
   * Writes all that a stream has.
   *
   * @throws {RangeError} if that is more than allowed; the stream is then destroyed.
   */
  async fill(stream: Readable, maxBytes: number): Promise<void> {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      if (this.#at + chunk.length > maxBytes) throw new RangeError(`more than ${maxBytes} bytes`);
      await this.write(chunk);
    }
    await this.end();
  }

  /** Gives it its size. */
  async end(): Promise<void> {
    await this.#file.truncate(this.#at);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

async function writeAll(file: FileHandle, piece: Buffer, position: number): Promise<void> {
  for (let done = 0; done < piece.length;) {
    const { bytesWritten } = await file.write(piece, done, piece.length - done, position + done);
    done += bytesWritten;
  }
}
