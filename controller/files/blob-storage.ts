/** Where blobs lie; each kind of storage does the same, and the same tests are run over all (test/controller/storage/). */
import type { Readable } from "node:stream";
import { Failure } from "../../os/failure.ts";

/** A blob as it is stored. */
export interface StoredBlob {
  /** SHA-256, lower-case hexadecimal. */
  digest: string;
  bytes: number;
  changedAt: Date;
}

/** A storage of blobs by their digests. Any number of controllers may use one, and each call may be repeated. */
export interface BlobStorage {
  /**
   * Stores a file of this content, which may be taken away. It is there for good when this returns; before, it is not
   * there or whole.
   */
  put(digest: string, file: string): Promise<void>;

  /** A part of the content, both ends in bytes, the end exclusive. A blob that is not there is an error of the stream. */
  read(digest: string, start: number, end: number): Readable;

  /** Removes a blob; one that is not there is no error. */
  remove(digest: string): Promise<void>;

  /** All blobs, in pieces; one that is stored or removed meanwhile may be among them or not. */
  list(): AsyncIterable<readonly StoredBlob[]>;

  /** Removes what is left of storing that broke off, if nothing of it has changed since. */
  clearAway(before: Date): Promise<void>;

  /** The name that {@link BlobStorage.mark} gave, if it did: by it the controllers of a database know their storage. */
  readMark(): Promise<string | undefined>;

  mark(name: string): Promise<void>;
}

/** What is stored cannot be had, or nothing stored, at the moment; requests are answered with it, and may be repeated. */
export class StorageFailure extends Failure {
  readonly statusCode = 503;
}

/** In a storage, beside the blobs. */
export const markName = "storage-id";
