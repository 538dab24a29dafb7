import { closeSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";

/**
 * A log file of bounded size that keeps the head and the tail of what is written, with the cut marked between.
 *
 * It is complete on disk after every write, so that it is evidence even if this process is killed. When it is
 * full, the middle is dropped at once, down to three quarters: a byte is copied a few times at most.
 */
export class BoundedFile implements Disposable {
  readonly path: string;
  readonly #headBytes: number;
  readonly #maxBytes: number;
  #fd: number | undefined;
  #size = 0;
  /** Bytes left out between head and tail. */
  #cut = 0;
  /** Where the tail begins; the head's end until something is cut. */
  #tailStart: number;

  /** Makes the file, or empties it; the limit is in bytes, at least 1024. */
  constructor(path: string, maxBytes: number) {
    this.path = path;
    this.#maxBytes = Math.max(maxBytes, 1024);
    this.#headBytes = Math.floor(this.#maxBytes / 2);
    this.#tailStart = this.#headBytes;
    this.#fd = openSync(path, "w+", 0o600);
  }

  /**
   * Appends; after disposing it does nothing.
   *
   * A full disk ends the recording and not the machine: what was written stays.
   *
   * @returns the error that ended the recording, once.
   */
  write(chunk: Buffer): unknown {
    if (this.#fd === undefined) return undefined;
    // Pieces of an eighth, so that one huge chunk leaves the same file as many small ones.
    const piece = Math.floor(this.#maxBytes / 8);
    try {
      for (let offset = 0; offset < chunk.length; offset += piece)
        this.#append(this.#fd, chunk.subarray(offset, offset + piece));
    } catch (error) {
      this[Symbol.dispose]();
      return error;
    }
    return undefined;
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #append(fd: number, piece: Buffer): void {
    if (this.#size + piece.length > this.#maxBytes) this.#dropMiddle(fd);
    this.#put(fd, piece);
  }

  #put(fd: number, bytes: Buffer): void {
    for (let done = 0; done < bytes.length;)
      done += writeSync(fd, bytes, done, bytes.length - done, this.#size + done);
    this.#size += bytes.length;
  }

  #dropMiddle(fd: number): void {
    const keep = Math.floor(this.#maxBytes / 4);
    const tail = Buffer.alloc(keep);
    const from = this.#size - keep;
    const length = readSync(fd, tail, 0, keep, from);
    this.#cut += from - this.#tailStart;
    ftruncateSync(fd, this.#headBytes);
    this.#size = this.#headBytes;
    this.#put(fd, Buffer.from(`\n[croft: ${this.#cut} bytes left out]\n`));
    this.#tailStart = this.#size;
    this.#put(fd, tail.subarray(0, length));
  }
}
