import { constants } from "node:fs";
import { open, rename, unlink, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import errors from "tftp/lib/protocol/errors.js";
import { syncDirectory } from "../../os/files/durable.ts";
import { randomTail } from "../../os/files/random-tail.ts";
import { refusing } from "./files.ts";
import { TftpRefusal, temporaryPrefix } from "./request.ts";

/** Most files by different names that one server takes: empty files cost inodes, not bytes. */
const fileMaximum = 10_000;

/** What a server's clients may leave on disk, finished and unfinished files together. */
export class UploadBudget {
  readonly #maxBytes: number;
  readonly #files = new Map<string, number>();
  #usedBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  hasRoomFor(bytes: number): boolean {
    return this.#usedBytes + bytes <= this.#maxBytes;
  }

  take(bytes: number): boolean {
    if (!this.hasRoomFor(bytes)) return false;
    this.#usedBytes += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#usedBytes -= bytes;
  }

  /** True if a file of this name may be finished. */
  hasRoomForName(path: string): boolean {
    return this.#files.has(path) || this.#files.size < fileMaximum;
  }

  /** A file whose bytes were taken has taken its place; those of the one it replaced are free again. */
  finished(path: string, bytes: number): void {
    this.giveBack(this.#files.get(path) ?? 0);
    this.#files.set(path, bytes);
  }
}

/** Blocks are gathered into chunks of this size before they are written. */
const chunkBytes = 256 * 1024;
/** So much may wait for the disk before the client is kept waiting. */
const backlogChunks = 2;
/** So much is written before it is synced meanwhile: the client would not wait for a whole archive at the end. */
const unsyncedBytesMax = 64 * 1024 * 1024;

/**
 * A file being received: under a temporary name until it is complete, so that its name only ever shows a whole
 * file. Whoever opened it calls `complete` or `discard`; afterwards no temporary file is left.
 */
export class Upload {
  readonly #handle: FileHandle;
  readonly #temporary: string;
  readonly #budget: UploadBudget;
  readonly #spare: Buffer[] = [];
  #chunk: Buffer = Buffer.allocUnsafe(chunkBytes);
  #filled = 0;
  readonly #waiting: Buffer[] = [];
  #writing: Promise<void> | undefined;
  #failure: unknown;
  #ended = false;
  #sizeBytes = 0;
  #unsyncedBytes = 0;
  /** Called when the backlog has gone, or writing has failed. */
  onRelief: () => void = () => {};

  private constructor(handle: FileHandle, temporary: string, budget: UploadBudget) {
    this.#handle = handle;
    this.#temporary = temporary;
    this.#budget = budget;
  }

  /** Makes the temporary file. @throws {TftpRefusal} */
  static async open(directory: string, budget: UploadBudget): Promise<Upload> {
    const path = join(directory, temporaryPrefix + randomTail());
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    return new Upload(await refusing(() => open(path, flags, 0o644)), path, budget);
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** True while the client should be kept waiting for the disk. */
  get isBacklogged(): boolean {
    return this.#waiting.length >= backlogChunks;
  }

  /** Why writing has failed, if it has. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Takes a copy of the data. @throws {TftpRefusal} if it is more than the server's clients may leave. */
  append(data: Buffer): void {
    if (!this.#budget.take(data.length)) throw new TftpRefusal(errors.ENOSPC);
    this.#sizeBytes += data.length;
    let taken = 0;
    while (taken < data.length) {
      const copied = data.copy(this.#chunk, this.#filled, taken);
      taken += copied;
      this.#filled += copied;
      if (this.#filled < chunkBytes) break;
      this.#waiting.push(this.#chunk);
      this.#chunk = this.#spare.pop() ?? Buffer.allocUnsafe(chunkBytes);
      this.#filled = 0;
      this.#writing ??= this.#writeWaiting();
    }
  }

  /** Writes what is waiting; failures are kept for whoever asks. */
  async #writeWaiting(): Promise<void> {
    try {
      for (let chunk; (chunk = this.#waiting[0]) !== undefined && this.#failure === undefined;) {
        await writeAll(this.#handle, chunk);
        await this.#syncMeanwhile(chunk.length);
        this.#waiting.shift();
        this.#spare.push(chunk);
        if (this.#waiting.length === backlogChunks - 1) this.onRelief();
      }
    } catch (error) {
      this.#failure = error;
      this.onRelief();
    } finally {
      this.#writing = undefined;
    }
  }

  async #syncMeanwhile(writtenBytes: number): Promise<void> {
    this.#unsyncedBytes += writtenBytes;
    if (this.#unsyncedBytes < unsyncedBytesMax) return;
    this.#unsyncedBytes = 0;
    await this.#handle.datasync();
  }

  /**
   * Writes the rest and gives the file its name, replacing what had it; both survive a crash of the host from then on.
   *
   * @throws {TftpRefusal}
   */
  async complete(target: string): Promise<void> {
    await refusing(async () => {
      await this.#writing;
      if (this.#failure !== undefined) throw this.#failure;
      if (!this.#budget.hasRoomForName(target)) throw new TftpRefusal(errors.ENOSPC);
      await writeAll(this.#handle, this.#chunk.subarray(0, this.#filled));
      await this.#handle.sync();
      await this.#handle.close();
      await rename(this.#temporary, target);
      this.#ended = true;
      this.#chunk = Buffer.alloc(0);
      this.#spare.length = 0;
      await syncDirectory(dirname(target));
      this.#budget.finished(target, this.#sizeBytes);
    });
  }

  /** Removes the temporary file, unless it was completed; not while `complete` is running. */
  async discard(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure ??= new TftpRefusal(errors.EIO, "Upload was ended");
    this.#waiting.length = 0;
    await this.#writing;
    this.#budget.giveBack(this.#sizeBytes);
    await this.#handle.close().catch(() => {});
    await unlink(this.#temporary).catch(() => {});
  }
}

async function writeAll(handle: FileHandle, data: Buffer): Promise<void> {
  for (let offset = 0; offset < data.length;)
    offset += (await handle.write(data, offset, data.length - offset)).bytesWritten;
}
