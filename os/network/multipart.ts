/**
 * Bodies of the type `multipart/form-data` (RFC 7578), written as browsers do (HTML, multipart/form-data encoding).
 *
 * Not by FormData: its stream throws where nobody can catch it once a server answers, and closes, before all is sent.
 */
import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { basename } from "node:path";
import { Readable } from "node:stream";

/** A field with a value, or with a file's content and name. */
export type Part = { name: string } & ({ value: string } | { path: string });

export interface MultipartBody {
  contentType: string;
  /** The body from its beginning: another one for each attempt to send it. */
  open(): Readable;
}

export function multipartBody(parts: readonly Part[]): MultipartBody {
  const boundary = `croft-${randomBytes(16).toString("hex")}`;
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    open: () => Readable.from(piecesOf(parts, boundary), { objectMode: false }),
  };
}

async function* piecesOf(parts: readonly Part[], boundary: string): AsyncGenerator<Buffer> {
  for (const part of parts) {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${escaped(part.name)}"`;
    if ("value" in part) {
      yield Buffer.from(`${head}\r\n\r\n${part.value}\r\n`);
      continue;
    }
    const file = `filename="${escaped(basename(part.path))}"\r\nContent-Type: application/octet-stream`;
    yield Buffer.from(`${head}; ${file}\r\n\r\n`);
    yield* createReadStream(part.path) as AsyncIterable<Buffer>;
    yield Buffer.from("\r\n");
  }
  yield Buffer.from(`--${boundary}--\r\n`);
}

function escaped(text: string): string {
  return text.replaceAll("\r", "%0D").replaceAll("\n", "%0A").replaceAll('"', "%22");
}
