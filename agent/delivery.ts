/** Brings spooled results to their controllers: artifacts first, then the result itself. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { isSystemError, reasonOf } from "../host/failure.ts";
import type { Log } from "../host/log.ts";
import { formatResultRequest, parseResultRequest } from "../manifests/result-request.ts";
import { Backoff } from "./backoff.ts";
import { Refusal, Unreachable, type HttpClient } from "./http.ts";
import { withOperation } from "./result.ts";
import type { Spool, SpoolEntry } from "./spool.ts";

/** A result that its controller does not take for so long is kept aside. */
const keepTryingSeconds = 7 * 24 * 3600;
const maxPauseSeconds = 600;

export class Delivery {
  readonly #client: HttpClient;
  readonly #spool: Spool;
  readonly #log: Log;
  readonly #backoff = new Backoff<string>(maxPauseSeconds);

  constructor(client: HttpClient, spool: Spool, log: Log) {
    this.#client = client;
    this.#spool = spool;
    this.#log = log;
  }

  /** Sends every decided result whose pause is over. Failures are logged, and tried again in a later round. */
  async sendDue(signal?: AbortSignal): Promise<void> {
    for (const entry of await this.#spool.entries()) {
      const decided = await entry.decidedAt();
      if (decided === undefined || this.#backoff.remainingSeconds(entry.name) > 0) continue;
      if (Date.now() - decided.getTime() > keepTryingSeconds * 1000) {
        this.#log.error(
          { session: entry.assignment.session, url: entry.assignment.resultUrl },
          "result kept aside: not accepted for 7 days",
        );
        await entry.reject("not accepted for 7 days");
        continue;
      }
      await this.send(entry, signal);
    }
  }

  /**
   * Sends one result now.
   *
   * @returns true if the controller has it; false if it stays in the spool or was kept aside.
   */
  async send(entry: SpoolEntry, signal?: AbortSignal): Promise<boolean> {
    const { session, resultUrl } = entry.assignment;
    const log = this.#log.child({ session, url: resultUrl });
    if (resultUrl === undefined) {
      await entry.remove();
      return false;
    }
    try {
      await this.#sendArtifacts(entry, log, signal);
      await this.#client.postManifest(resultUrl, (await entry.result())!, signal ? { signal } : {});
      await entry.remove();
      this.#backoff.succeeded(entry.name);
      log.info("result accepted");
      return true;
    } catch (error) {
      if (signal?.aborted) return false;
      if (error instanceof Refusal) {
        log.error({ reason: reasonOf(error) }, "result refused by the controller, kept aside");
        await entry.reject(`${error.status}\n${error.answer}\n`);
        return false;
      }
      if (!(error instanceof Unreachable)) throw error;
      const pauseSeconds = this.#backoff.failed(entry.name);
      log.warn({ reason: reasonOf(error), pauseSeconds }, "result not delivered, it stays in the spool");
      return false;
    }
  }

  async #sendArtifacts(entry: SpoolEntry, log: Log, signal?: AbortSignal): Promise<void> {
    for (const type of await names(entry.uploads)) {
      const directory = join(entry.uploads, type);
      const files = (await names(directory)).map((name) => join(directory, name));
      const url = entry.assignment.uploadUrls[type];
      if (url === undefined)
        log.warn({ type, files: files.length }, "no upload URL for artifacts of this type, they are dropped");
      else if (files.length > 0) await this.#sendType(entry, { type, url, files }, log, signal);
      await rm(directory, { recursive: true, force: true });
    }
  }

  async #sendType(
    entry: SpoolEntry,
    upload: { type: string; url: string; files: string[] },
    log: Log,
    signal?: AbortSignal,
  ): Promise<void> {
    const request = parseResultRequest((await entry.result())!, { lenient: true });
    const files = await Promise.all(upload.files.map(async (path) => ({ path, sha256: await sha256(path) })));
    try {
      const fields = { session: request.session, challenge: request.challenge };
      await this.#client.postArtifacts(upload.url, fields, files, signal ? { signal } : {});
      log.info({ type: upload.type, files: files.length }, "artifacts accepted");
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      log.error({ type: upload.type, reason: reasonOf(error) }, "artifacts refused by the controller");
      const answer = `${upload.url} answered ${error.status}\n${error.answer}\n`;
      await entry.setResult(
        formatResultRequest({ ...request, result: withOperation(request.result, "upload", "abort", answer) }),
      );
    }
  }
}

async function names(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return [];
    throw error;
  }
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
