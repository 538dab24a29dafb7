/**
 * Blobs in a bucket: `AB/…` below the prefix, as in the directory, so that one can be copied into the other. A small one
 * is put in one request, a large one in parts; the service shows it when it is whole.
 */
import type { S3ServiceException } from "@aws-sdk/client-s3";
import { open, type FileHandle } from "node:fs/promises";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { ByteBudget, type HeldBytes } from "./byte-budget.ts";
import {
  blobPath,
  markName,
  storedAt,
  StorageFailure,
  type BlobStorage,
  type StoredBlob,
} from "./blob-storage.ts";
import { isMissing, s3Name, s3Reason, type S3Service } from "./s3-service.ts";

/** A service wants 5 MiB or more of all parts but the last, and no more than 10,000 of them. */
const usualPartBytes = 8 << 20;
const mostParts = 10_000;
/** So many of them may be on their way, of all who store something: they are in memory, so that they can be sent again. */
const partsAtOnce = 4;
/** How often a large blob is begun anew whose parts the service has lost. */
const mostBeginnings = 3;
/** How often reading goes on where it broke off without having come any further. */
const mostBreaks = 5;

export class S3Storage implements BlobStorage {
  readonly #service: S3Service;
  readonly #partBytes: number;
  readonly #memory: ByteBudget;

  constructor(service: S3Service, partBytes = usualPartBytes) {
    this.#service = service;
    this.#partBytes = partBytes;
    this.#memory = new ByteBudget(partsAtOnce * partBytes);
  }

  async put(name: string, file: string): Promise<void> {
    await this.#attempt(`store ${name.slice(0, 12)}`, async () => {
      await using handle = await open(file, "r");
      const { size } = await handle.stat();
      for (let beginning = 1; ; beginning++)
        try {
          if (size <= this.#partBytes) await this.#putWhole(this.#key(name), handle, size);
          else await this.#putInParts(this.#key(name), handle, size);
          return;
        } catch (error) {
          if (!isMissing(error) || beginning === mostBeginnings) throw error;
        }
    });
  }

  async #putWhole(key: string, handle: FileHandle, size: number): Promise<void> {
    using _memory = await this.#turn(size);
    await this.#putContent(key, await bytesOf(handle, 0, size));
  }

  async #putContent(key: string, content: Buffer): Promise<void> {
    const { library, client, place } = this.#service;
    await client.send(
      new library.PutObjectCommand({
        ...{ Bucket: place.bucket, Key: key, Body: content, ContentLength: content.length },
        ContentType: "application/octet-stream",
      }),
    );
  }

  /** @throws {Error} if those who came before get no answer. */
  async #turn(bytes: number): Promise<HeldBytes> {
    const held = await this.#memory.take(bytes, this.#service.patienceMs);
    if (!held) throw new Error("it is too slow for all that is to be stored");
    return held;
  }

  async #putInParts(key: string, handle: FileHandle, size: number): Promise<void> {
    const { library, client, place } = this.#service;
    const at = { Bucket: place.bucket, Key: key };
    const { UploadId } = await client.send(
      new library.CreateMultipartUploadCommand({ ...at, ContentType: "application/octet-stream" }),
    );
    const upload = { ...at, UploadId };
    try {
      const length = Math.max(this.#partBytes, Math.ceil(size / mostParts));
      const parts: { PartNumber: number; ETag: string | undefined }[] = [];
      for (let from = 0; from < size; from += length) {
        using _memory = await this.#turn(length);
        const content = await bytesOf(handle, from, Math.min(length, size - from));
        const part = { PartNumber: parts.length + 1, Body: content, ContentLength: content.length };
        const { ETag } = await client.send(new library.UploadPartCommand({ ...upload, ...part }));
        parts.push({ PartNumber: part.PartNumber, ETag });
      }
      await client.send(
        new library.CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } }),
      );
      const { ContentLength } = await client.send(new library.HeadObjectCommand(at));
      if (ContentLength !== size) throw new Error(`the service has ${ContentLength} of ${size} bytes`);
    } catch (error) {
      // What is left of it otherwise is cleared away in a day.
      await client.send(new library.AbortMultipartUploadCommand(upload)).catch(() => {});
      throw error;
    }
  }

  read(name: string, start: number, end: number): Readable {
    return Readable.from(this.#pieces(this.#key(name), start, end), { objectMode: false });
  }

  /** Goes on where it broke off: of a large blob for a slow reader the service may well end the connection. */
  async *#pieces(key: string, start: number, end: number): AsyncGenerator<Uint8Array> {
    let at = start;
    let all = Infinity;
    for (let breaks = 0; at < Math.min(end, all);) {
      try {
        const { body, size } = await this.#get(key, at, end);
        all = size;
        for await (const piece of patiently(body, this.#service.silentMs)) {
          at += piece.length;
          breaks = 0;
          yield piece;
        }
        if (at < Math.min(end, all)) throw new Error("the service ended its answer too early");
      } catch (error) {
        if (isBeyondEnd(error)) return;
        if (isMissing(error) || ++breaks > mostBreaks)
          throw new StorageFailure(`read from '${s3Name(this.#service.place)}'`, reasonOfMissing(error), {
            cause: error,
          });
        await sleep(100 * 2 ** breaks);
      }
    }
  }

  async #get(key: string, start: number, end: number): Promise<{ body: Readable; size: number }> {
    const { library, client, place } = this.#service;
    const isAll = start === 0 && end === Infinity;
    const range = isAll ? {} : { Range: `bytes=${start}-${end === Infinity ? "" : end - 1}` };
    const answer = await client.send(
      new library.GetObjectCommand({ Bucket: place.bucket, Key: key, ...range }),
    );
    const [, whole] = /\/(\d+)$/.exec(answer.ContentRange ?? "") ?? [];
    return { body: answer.Body as Readable, size: Number(whole ?? answer.ContentLength ?? Infinity) };
  }

  /** A request that was given up may have reached the service all the same, or be on its way to it. */
  async remove(name: string): Promise<boolean> {
    const { library, client, place } = this.#service;
    return await this.#attempt(`remove ${name.slice(0, 12)}`, async () => {
      const removal = new library.DeleteObjectCommand({ Bucket: place.bucket, Key: this.#key(name) });
      try {
        return (await client.send(removal)).$metadata.attempts === 1;
      } catch (error) {
        if (isMissing(error)) return (error as S3ServiceException).$metadata.attempts === 1;
        throw error;
      }
    });
  }

  async *list(): AsyncGenerator<readonly StoredBlob[]> {
    const { library, client, place } = this.#service;
    const from = { Bucket: place.bucket, Prefix: place.prefix };
    let next: { ContinuationToken?: string } = {};
    for (;;) {
      const page = await this.#attempt("list what is stored", () =>
        client.send(new library.ListObjectsV2Command({ ...from, ...next })),
      );
      yield (page.Contents ?? []).flatMap(({ Key = "", Size, LastModified }) => {
        const blob = storedAt(Key.slice(place.prefix.length));
        return blob === undefined ? [] : [{ ...blob, bytes: Size!, changedAt: LastModified! }];
      });
      if (page.NextContinuationToken === undefined) return;
      next = { ContinuationToken: page.NextContinuationToken };
    }
  }

  /** Uploads in parts that nobody has completed; services keep, and count, them for ever. */
  async clearAway(before: Date): Promise<void> {
    const { library, client, place } = this.#service;
    await this.#attempt("clear away uploads that broke off", async () => {
      const from = { Bucket: place.bucket, Prefix: place.prefix };
      let next: { KeyMarker?: string; UploadIdMarker?: string } = {};
      for (;;) {
        const page = await client.send(new library.ListMultipartUploadsCommand({ ...from, ...next }));
        for (const { Key, UploadId, Initiated } of page.Uploads ?? [])
          if (Initiated && Initiated < before)
            await client.send(
              new library.AbortMultipartUploadCommand({ Bucket: place.bucket, Key, UploadId }),
            );
        if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return;
        next = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker ?? "" };
      }
    });
  }

  async readMark(): Promise<string | undefined> {
    return await this.#attempt("read its mark", async () => {
      try {
        const { body } = await this.#get(this.#service.place.prefix + markName, 0, Infinity);
        const pieces: Uint8Array[] = [];
        for await (const piece of patiently(body, this.#service.silentMs)) pieces.push(piece);
        return Buffer.concat(pieces).toString().trim();
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    });
  }

  async mark(name: string): Promise<void> {
    const key = this.#service.place.prefix + markName;
    await this.#attempt("write its mark", () => this.#putContent(key, Buffer.from(`${name}\n`)));
  }

  #key(name: string): string {
    return this.#service.place.prefix + blobPath(name);
  }

  async #attempt<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const reason = s3Reason(error);
      throw new StorageFailure(`${what} in '${s3Name(this.#service.place)}'`, reason, { cause: error });
    }
  }
}

async function bytesOf(handle: FileHandle, from: number, length: number): Promise<Buffer> {
  const content = Buffer.alloc(length);
  for (let at = 0; at < length;) {
    const { bytesRead } = await handle.read(content, at, length - at, from + at);
    if (bytesRead === 0) throw new Error("the file has become shorter");
    at += bytesRead;
  }
  return content;
}

/** The pieces of a stream that must not keep its reader waiting for long; the reader may take its time. */
async function* patiently(body: Readable, silentMs: number): AsyncGenerator<Uint8Array> {
  const iterator = body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  try {
    for (;;) {
      const stall = () => body.destroy(new Error(`nothing came for ${silentMs / 1000} s`));
      const timer = setTimeout(stall, silentMs);
      const next = await iterator.next().finally(() => clearTimeout(timer));
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    body.destroy();
  }
}

/** Of a range that begins where the content ends. */
function isBeyondEnd(error: unknown): boolean {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode === 416;
}

function reasonOfMissing(error: unknown): string {
  return isMissing(error) ? "it is not there" : s3Reason(error);
}
