/** Brings spooled results to their controllers: artifacts first, then the result itself. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { assertFailure, attempt, Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { withoutSecrets } from "../../os/network/url.ts";
import { formatResultRequest, parseResultRequest } from "../../manifests/result-request.ts";
import { Backoff } from "../../os/backoff.ts";
import { Rejection, type HttpClient, type RequestLimits } from "../wire/http.ts";
import type { AgentMetrics } from "../status/metrics.ts";
import { withOperation } from "./result.ts";
import type { Spool, SpoolEntry } from "../task-state/spool.ts";

/** A result that its controller does not take for so long is kept aside. */
const keepTryingSeconds = 7 * 24 * 3600;
const maxPauseSeconds = 600;
/** A result that was not delivered at once is tried again in passing: tasks wait meanwhile. */
const againLimits = { timeoutSeconds: 60, retries: 0 };

export class Delivery {
  readonly #client: HttpClient;
  readonly #spool: Spool;
  readonly #log: Log;
  readonly #metrics: AgentMetrics | undefined;
  /** By controller: if one result does not get through, the others of it need not be tried. */
  readonly #backoff = new Backoff<string>(maxPauseSeconds);

  constructor(client: HttpClient, spool: Spool, log: Log, metrics?: AgentMetrics) {
    this.#client = client;
    this.#spool = spool;
    this.#log = log;
    this.#metrics = metrics;
  }

  /**
   * Sends every decided result whose controller's pause is over. Whatever fails is logged, and tried again later.
   *
   * @param onSend called before each.
   */
  async sendDue(signal: AbortSignal, onSend: () => void = () => {}): Promise<void> {
    for (const entry of await this.#spool.entries()) {
      if (signal.aborted) return;
      try {
        const decided = await entry.decidedAt();
        if (decided === undefined || this.#backoff.remainingSeconds(controllerOf(entry)) > 0) continue;
        onSend();
        if (Date.now() - decided.getTime() <= keepTryingSeconds * 1000)
          await this.send(entry, { ...againLimits, signal });
        else await this.#keepAside(entry, "not accepted for 7 days");
      } catch (error) {
        this.#failed(entry, error);
      }
    }
  }

  /** Sends one result now; it stays in the spool if that does not work out, and is kept aside if it is refused. */
  async send(entry: SpoolEntry, limits: RequestLimits): Promise<void> {
    const { session, resultUrl: url } = entry.assignment;
    const log = this.#log.child({ session, url });
    try {
      if (url === undefined) return await entry.remove();
      await this.#sendArtifacts(entry, log, limits);
      await this.#client.postManifest(url, (await entry.result())!, limits);
      await entry.remove();
      this.#backoff.succeeded(controllerOf(entry));
      this.#metrics?.delivered("accepted");
      log.info("result accepted");
    } catch (error) {
      if (limits.signal?.aborted) return;
      if (error instanceof Rejection) await this.#refused(entry, error);
      else this.#failed(entry, error);
    }
  }

  /**
   * Sends a result for which there is no room in the spool; once, since nothing is kept to send again.
   *
   * @param request text of the result request.
   */
  async sendUnspooled(url: string, request: Uint8Array, signal: AbortSignal): Promise<void> {
    try {
      await this.#client.postManifest(url, request, { signal });
    } catch (error) {
      this.#log.error(
        { url, reason: reasonOf(error) },
        "result not delivered, and there is no spool to keep it in",
      );
    }
  }

  async #refused(entry: SpoolEntry, refusal: Rejection): Promise<void> {
    try {
      await this.#keepAside(entry, reasonOf(refusal), `${refusal.status}\n${refusal.answer}\n`);
    } catch (error) {
      this.#failed(entry, error);
    }
  }

  async #keepAside(entry: SpoolEntry, reason: string, answer = `${reason}\n`): Promise<void> {
    const { session, resultUrl: url } = entry.assignment;
    this.#log.error({ session, url, reason }, "result kept aside, under rejected/ in the spool");
    await entry.reject(answer);
    this.#metrics?.delivered("rejected");
  }

  /** @throws what is a bug. */
  #failed(entry: SpoolEntry, error: unknown): void {
    assertFailure(error);
    const { session, resultUrl: url } = entry.assignment;
    const pauseSeconds = this.#backoff.failed(controllerOf(entry));
    this.#metrics?.delivered("failed");
    this.#log.warn(
      { session, url, reason: error.message, pauseSeconds },
      "result not delivered, it stays in the spool",
    );
  }

  async #sendArtifacts(entry: SpoolEntry, log: Log, limits: RequestLimits): Promise<void> {
    const { uploadUrls } = entry.assignment;
    for (const type of await names(entry.uploads)) {
      const directory = join(entry.uploads, type);
      const files = (await names(directory)).map((name) => join(directory, name));
      const url = Object.hasOwn(uploadUrls, type) ? uploadUrls[type] : undefined;
      if (url === undefined)
        log.warn({ type, files: files.length }, "no upload URL for artifacts of this type, they are dropped");
      else if (files.length > 0) await this.#sendType(entry, { type, url, files }, log, limits);
      await attempt(`remove '${directory}'`, rm(directory, { recursive: true, force: true }));
    }
  }

  async #sendType(
    entry: SpoolEntry,
    upload: { type: string; url: string; files: string[] },
    log: Log,
    limits: RequestLimits,
  ): Promise<void> {
    const { session, answer: challenge } = entry.assignment;
    const files = [];
    for (const path of upload.files)
      files.push({ path, sha256: await attempt(`read '${path}'`, sha256(path)) });
    try {
      await this.#client.postArtifacts(upload.url, { session, challenge }, files, limits);
      log.info({ type: upload.type, files: files.length }, "artifacts accepted");
    } catch (error) {
      if (!(error instanceof Rejection)) throw error;
      log.error({ type: upload.type, reason: reasonOf(error) }, "artifacts refused by the controller");
      await addToResult(entry, `${withoutSecrets(upload.url)} answered ${error.status}\n${error.answer}\n`);
    }
  }
}

function controllerOf({ assignment: { resultUrl } }: SpoolEntry): string {
  return resultUrl === undefined ? "" : new URL(resultUrl).origin;
}

/** The build's result tells that its artifacts are not there. */
async function addToResult(entry: SpoolEntry, log: string): Promise<void> {
  const request = parseResultRequest((await entry.result())!, { lenient: true });
  await entry.setResult(
    formatResultRequest({ ...request, result: withOperation(request.result, "upload", "abort", log) }),
  );
}

async function names(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return [];
    throw new Failure(`read '${directory}'`, reasonOf(error), { cause: error });
  }
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
