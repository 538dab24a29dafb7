/** Reads a result without holding the event loop, however large or hostile it is. */
import { once } from "node:events";
import { readFile, stat } from "node:fs/promises";
import { basename } from "node:path";
import type { Worker } from "node:worker_threads";
import { Deadline } from "../../os/deadline.ts";
import { Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import { MiB } from "../../os/text/size.ts";
import { resultMaxBytes } from "../../manifests/limits.ts";
import { decompressedBytes } from "./lz4.ts";
import { ReadingParts, type ReadingPiece } from "./reading-pieces.ts";
import { isCompressed, readResultFile, type Reading, type ResultFile } from "./result-file.ts";
import { startThread } from "./thread.ts";

/** What a thread may take. */
interface ThreadLimits {
  readonly seconds: number;
  /** Of its heap, where values lie as strings; the bytes of the file lie outside, which has a size of its own. */
  readonly heapMiB: number;
}

/** A thread would cost more than it saves. */
const smallBytes = MiB;
/**
 * Ten times what the worst takes on a busy host, and more than the values of any text within its bounds take (twice its
 * size, at most). That no result reaches it is on purpose: Node.js ends a thread that grows bit by bit, but V8 the whole
 * process if a single long string does not fit.
 */
const usual: ThreadLimits = { seconds: 300, heapMiB: (5 * resultMaxBytes) / MiB };

/** Reads what is small in process, all else in a thread, which is ended if it takes too long, or too much memory. */
export async function readOffLoop(wanted: ResultFile, limits = usual): Promise<Reading> {
  const data = await readSmall(wanted.file);
  return data === "large" ? readInThread(wanted, limits) : readResultFile({ ...wanted, data });
}

/**
 * What is small in both forms; what cannot be told is for the reader to report, which does not get further either.
 *
 * @returns undefined if it cannot be read.
 */
async function readSmall(file: string): Promise<Buffer | "large" | undefined> {
  let data: Buffer;
  try {
    if ((await stat(file)).size > smallBytes) return "large";
    data = await readFile(file);
  } catch {
    return undefined;
  }
  try {
    return isCompressed(file) && decompressedBytes(data, resultMaxBytes) > smallBytes ? "large" : data;
  } catch {
    return data;
  }
}

async function readInThread(wanted: ResultFile, { seconds, heapMiB }: ThreadLimits): Promise<Reading> {
  const broken = (reason: string) => ({
    broken: new Failure(`read '${basename(wanted.file)}'`, reason).message,
  });
  using deadline = new Deadline(seconds);
  let thread: Worker | undefined;
  try {
    thread = startThread("result", {
      workerData: wanted,
      resourceLimits: { maxOldGenerationSizeMb: heapMiB },
    });
    const reading = await Promise.race([takeOver(thread), deadline.passed]);
    return reading !== "late" ? reading : broken(`it takes more than ${seconds} s`);
  } catch (error) {
    if (isSystemError(error, "ERR_WORKER_OUT_OF_MEMORY"))
      return broken(`it takes more than ${heapMiB} MiB of memory`);
    const { code } = error as NodeJS.ErrnoException;
    return { fault: { reason: reasonOf(error), code: code ?? "ERR_WORKER" } };
  } finally {
    await thread?.terminate();
  }
}

async function takeOver(thread: Worker): Promise<Reading> {
  const parts = new ReadingParts();
  for (;;) {
    const [piece] = (await once(thread, "message")) as [ReadingPiece];
    const reading = parts.add(piece);
    if (reading) return reading;
    thread.postMessage("next");
  }
}
