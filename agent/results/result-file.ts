/** Reads one file that should be a result, whatever it is; in process, or in a thread (`result-thread.ts`). */
import { readFile, stat } from "node:fs/promises";
import { basename } from "node:path";
import { codeOf, Failure, reasonOf } from "../../os/failure.ts";
import { ManifestError } from "../../manifests/error.ts";
import { excessOf, resultValuesMax } from "../../manifests/limits.ts";
import { parseResult, sanitizeResultText, type Result } from "../../manifests/result.ts";
import { isFarmFault } from "./farm-fault.ts";
import { decompressFrames } from "./lz4.ts";

/** What a file has come to; it can be sent from one thread to another, which errors with a code cannot. */
export type Reading = { result: Result } | { broken: string } | { fault: { reason: string; code: string } };

/** A file that is to be read; it is compressed if it is named so. */
export interface ResultFile {
  readonly file: string;
  /** Its text may be this large, decompressed. */
  readonly maxBytes: number;
  /** What is in it, if that has been read already. */
  readonly data?: Buffer | undefined;
}

/** Reads it here and now: one that is large or hostile takes many seconds. */
export async function readResultFile({ file, maxBytes, data }: ResultFile): Promise<Reading> {
  const source = basename(file);
  try {
    const text = sanitizeResultText(await readText(file, maxBytes, data), boundValues());
    const result = parseResult(text, { lenient: true, source });
    const excess = excessOf(result, "machine");
    return excess === undefined ? { result } : { broken: `Cannot use '${source}': ${excess}` };
  } catch (error) {
    if (isFarmFault(error)) return { fault: faultOf(error) };
    if (error instanceof ManifestError || error instanceof Failure) return { broken: error.message };
    return { broken: `Cannot read '${source}': ${reasonOf(error)}` };
  }
}

/** True for a name that a compressed result has. */
export function isCompressed(file: string): boolean {
  return file.endsWith(".lz4");
}

async function readText(file: string, maxBytes: number, known: Buffer | undefined): Promise<Uint8Array> {
  const size = known?.length ?? (await stat(file)).size;
  if (size > maxBytes) throw new Failure(`read '${basename(file)}'`, `it has more than ${maxBytes} bytes`);
  const data = known ?? (await readFile(file));
  return isCompressed(file) ? decompressFrames(data, maxBytes) : data;
}

function faultOf(error: unknown): { reason: string; code: string } {
  const cause = error instanceof Failure ? error.cause : error;
  return { reason: reasonOf(error), code: codeOf(cause)! };
}

/** Counts values before any is kept: small ones take far more memory than text. */
function boundValues(): () => void {
  let values = 0;
  return () => {
    if (++values > resultValuesMax)
      throw new Failure("read the result", `it has more than ${resultValuesMax} values`);
  };
}
