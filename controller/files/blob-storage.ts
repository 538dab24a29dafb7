/** Where blobs lie; each kind of storage does the same, and the same tests are run over all (test/controller/storage/). */
import type { Readable } from "node:stream";
import { Failure } from "../../os/failure.ts";

/** What a blob is stored as. */
export interface StoredAs {
  /** SHA-256, lower-case hexadecimal. */
  digest: string;
  /** 0, or a higher one if it was stored anew while an earlier one might still be removed. */
  generation: number;
}

/** A blob as it is stored. */
export interface StoredBlob extends StoredAs {
  bytes: number;
  changedAt: Date;
}

/** A storage of blobs by their names ({@link blobName}). Any number of controllers may use one, and each call may be repeated. */
export interface BlobStorage {
  /**
   * Stores a file of this content, which may be taken away. It is there for good when this returns; before, it is not
   * there or whole.
   */
  put(name: string, file: string): Promise<void>;

  /** A part of the content, both ends in bytes, the end exclusive. A blob that is not there is an error of the stream. */
  read(name: string, start: number, end: number): Readable;

  /**
   * Removes a blob; one that is not there is no error.
   *
   * @returns false if it may be removed once more, later: who asked twice does not know what became of the first time.
   */
  remove(name: string): Promise<boolean>;

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

/** What a blob is called in a storage: its digest, and `.N` for those of a later generation. */
export function blobName({ digest, generation }: StoredAs): string {
  return generation === 0 ? digest : `${digest}.${generation}`;
}

/** The path of a blob in a storage, below those with which its digest begins. */
export function blobPath(name: string): string {
  return `${name.slice(0, 2)}/${name.slice(2)}`;
}

/** What lies at a path; undefined if it is no blob. */
export function storedAt(path: string): StoredAs | undefined {
  const [, one, rest, later] = /^([0-9a-f]{2})\/([0-9a-f]{62})(?:\.([1-9]\d{0,8}))?$/.exec(path) ?? [];
  return one === undefined ? undefined : { digest: `${one}${rest}`, generation: Number(later ?? 0) };
}

/** In a storage, beside the blobs. */
export const markName = "storage-id";
