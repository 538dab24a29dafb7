/** Brings an image to where it is worked on: a copy that nobody else changes, whose checksum is that of what is looked at. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { Readable } from "node:stream";
import { attempt, Failure, reasonOf } from "../../os/failure.ts";
import { freeBytes } from "../../os/files/free-space.ts";
import { formatBytes } from "../../os/text/size.ts";
import type { ImageSource } from "./source.ts";
import { SparseFile } from "./sparse-file.ts";

/** A server that is silent for so long has gone. */
const silenceSeconds = 60;
const redirectionsMax = 5;

interface FetchOptions {
  maxBytes: number;
  /** Called from time to time with what has been done so far. */
  onProgress: (text: string) => void;
  signal: AbortSignal;
}

/**
 * Copies an image to a file that is not there.
 *
 * @returns its SHA-256 in hexadecimal digits.
 * @throws {Failure} if it cannot be had, is larger than allowed, is not all there, or is not what its checksum says.
 */
export async function fetchImage(source: ImageSource, to: string, options: FetchOptions): Promise<string> {
  const action = `import image '${source.name}'`;
  const { stream, bytes } = await open(source, action, options.signal);
  try {
    options.onProgress(await checkSpace(action, bytes, to, options.maxBytes));
    const sha256 = await copy(stream, to, { ...options, action, bytes });
    if (source.sha256 !== undefined && source.sha256 !== sha256)
      throw new Failure(action, `its SHA-256 is ${sha256}, and ${source.sha256} was expected`);
    return sha256;
  } finally {
    stream.destroy();
  }
}

interface Opened {
  stream: Readable;
  /** Its size, as far as it is known before. */
  bytes: number | undefined;
}

async function open(source: ImageSource, action: string, signal: AbortSignal): Promise<Opened> {
  const { place } = source;
  if (place.kind === "url") return await download(place.url, source.sha256 !== undefined, action, signal);
  const found = await attempt(action, stat(place.path));
  if (!found.isFile()) throw new Failure(action, "it is no file");
  return { stream: createReadStream(place.path), bytes: found.size };
}

async function download(url: URL, mayBeHttp: boolean, action: string, signal: AbortSignal): Promise<Opened> {
  const { default: got } = await import("got");
  const stream = got.stream(url, {
    signal,
    decompress: false, // an image is what the server has; nothing is to unpack by itself
    retry: { limit: 0 },
    maxRedirects: redirectionsMax,
    timeout: {
      connect: silenceSeconds * 1000,
      response: silenceSeconds * 1000,
      socket: silenceSeconds * 1000,
    },
    hooks: {
      beforeRedirect: [
        (options) => {
          if ((options.url as URL).protocol !== "https:" && !mayBeHttp)
            throw new Error("it is redirected to http:, where anybody can exchange it (--sha256)");
        },
      ],
    },
  });
  const length = await new Promise<string | undefined>((resolve, reject) => {
    stream.once("response", (response) => resolve(response.headers["content-length"]));
    stream.once("error", (error) =>
      reject(interrupted(signal) ?? new Failure(action, reasonOf(error), { cause: error })),
    );
  });
  return { stream, bytes: length === undefined ? undefined : Number(length) };
}

/** The reason of an interruption, which what fails of it does not have. */
function interrupted(signal: AbortSignal): unknown {
  return signal.aborted ? signal.reason : undefined;
}

/** How much it unpacks to is not known yet. */
async function checkSpace(
  action: string,
  bytes: number | undefined,
  to: string,
  maxBytes: number,
): Promise<string> {
  if (bytes !== undefined && bytes > maxBytes) throw tooLarge(action, maxBytes);
  const freeNow = await freeBytes(dirname(to));
  const free = formatBytes(freeNow);
  if (bytes === undefined) return `space: ${free} are free`;
  if (bytes > freeNow)
    throw new Failure(
      action,
      `it has ${formatBytes(bytes)}, and '${dirname(dirname(to))}' has room for ${free}`,
    );
  return `space: ${formatBytes(bytes)}, and what it unpacks to; ${free} are free`;
}

function tooLarge(action: string, maxBytes: number): Failure {
  return new Failure(action, `it has more than ${formatBytes(maxBytes)} (--max-size)`);
}

async function copy(
  stream: Readable,
  to: string,
  options: FetchOptions & { action: string; bytes: number | undefined },
): Promise<string> {
  const { action, bytes, maxBytes, onProgress, signal } = options;
  const hash = createHash("sha256");
  await using file = await SparseFile.make(to);
  const whole = bytes === undefined ? "" : ` of ${formatBytes(bytes)}`;
  const timer = setInterval(() => onProgress(`reading the image: ${formatBytes(file.bytes)}${whole}`), 2000);
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      signal.throwIfAborted();
      if (file.bytes + chunk.length > maxBytes) throw tooLarge(action, maxBytes);
      hash.update(chunk);
      await file.write(chunk);
    }
    await file.end();
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw interrupted(signal) ?? new Failure(action, reasonOf(error), { cause: error });
  } finally {
    clearInterval(timer);
  }
  if (bytes !== undefined && file.bytes !== bytes)
    throw new Failure(action, `it ended after ${file.bytes} of ${bytes} bytes`);
  return hash.digest("hex");
}
