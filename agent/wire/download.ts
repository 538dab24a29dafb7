/** What is larger than an answer: written to a file as it comes. */
import { createWriteStream } from "node:fs";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import got, { RequestError, type Response } from "got";
import { Failure } from "../../os/failure.ts";
import { withoutSecrets } from "../../os/network/url.ts";
import { accept, Unreachable } from "./answers.ts";
import { proxyAgentFor } from "./proxies.ts";

export interface Download {
  body: Uint8Array;
  /** Made anew for each try. */
  headers: () => Promise<Record<string, string>>;
  /** Of the file; there is none yet. */
  path: string;
  mostBytes: number;
}

/**
 * Tries it once; a file that is not whole is removed.
 *
 * @throws {Rejection} for a refusal for good, {@link Failure} for what is too large, {@link Unreachable} for everything that may be
 * tried again; the signal's reason if aborted.
 */
export async function downloadOnce(
  url: string,
  { body, headers, path, mostBytes }: Download,
  settings: { connectTimeoutSeconds: number; limitSeconds: number; agent: string },
  signal: AbortSignal,
): Promise<number> {
  const proxy = proxyAgentFor(url);
  const deadline = AbortSignal.timeout(settings.limitSeconds * 1000);
  try {
    const stream = got.stream.post(url, {
      body,
      headers: {
        "user-agent": settings.agent,
        "content-type": "application/octet-stream",
        ...(await headers()),
      },
      throwHttpErrors: false,
      followRedirect: false,
      decompress: false,
      timeout: { connect: settings.connectTimeoutSeconds * 1000 },
      retry: { limit: 0 },
      ...(proxy ? { agent: { [url.startsWith("https:") ? "https" : "http"]: proxy } } : {}),
      signal: AbortSignal.any([signal, deadline]),
    });
    const [response] = (await once(stream, "response")) as [Response];
    if (response.statusCode !== 200)
      accept(url, { status: response.statusCode, headers: response.headers, body: await buffer(stream) });
    let bytes = 0;
    await pipeline(
      stream,
      async function* (pieces: AsyncIterable<Buffer>) {
        for await (const piece of pieces) {
          bytes += piece.length;
          if (bytes > mostBytes)
            throw new Failure(`read ${withoutSecrets(url)}`, `it is larger than ${mostBytes} bytes`);
          yield piece;
        }
      },
      createWriteStream(path, { flags: "wx", mode: 0o600 }),
    );
    return bytes;
  } catch (error) {
    signal.throwIfAborted();
    await rm(path, { force: true });
    if (!(error instanceof RequestError) && !deadline.aborted) throw error;
    const reason = deadline.aborted
      ? `no answer within ${settings.limitSeconds} s`
      : (error as Error).message;
    throw new Unreachable(`reach ${withoutSecrets(url)}`, reason, { cause: error, isSilent: true });
  }
}
