/** The agent's one HTTP client: everything it says to controllers goes through here. */
import { stat } from "node:fs/promises";
import got, { RequestError, type OptionsInit, type Response } from "got";
import { Failure } from "../../os/failure.ts";
import { withoutSecrets } from "../../os/network/url.ts";
import { longestPauseSeconds, tryAgain } from "./again.ts";
import { accept, Unreachable, type Answer } from "./answers.ts";
import { downloadOnce, type Download } from "./download.ts";
import { proxyAgentFor } from "./proxies.ts";
import { multipartBody, type Part } from "../../os/network/multipart.ts";

export interface HttpSettings {
  connectTimeoutSeconds: number;
  requestTimeoutSeconds: number;
  requestRetries: number;
  /** Sent as `User-Agent`. */
  agent: string;
}

/** A file with its digest, in hexadecimal digits. */
export interface UploadedFile {
  path: string;
  sha256: string;
}

/** Slower than this no upload is waited for. */
const slowestBytesPerSecond = 256 * 1024;

/** How long and how often to try; the time and the retries of the settings unless told. */
export interface RequestLimits {
  timeoutSeconds?: number;
  retries?: number;
  signal?: AbortSignal;
}

interface Deadline {
  signal: AbortSignal;
  limitSeconds: number;
}

/** No answer of a controller may be larger; a task manifest is a few KiB. */
const answerMaxBytes = 4 * 1024 * 1024;

/** A redirection is followed so often (as long as it says that the method stays: 307 and 308). */
const redirectionsMax = 3;

export class HttpClient {
  readonly #settings: HttpSettings;

  constructor(settings: HttpSettings) {
    this.#settings = settings;
  }

  /**
   * Posts a manifest; `headers` are made anew for each attempt, for the URL that it goes to.
   *
   * @throws {Rejection} for a refusal for good, {@link Unreachable} for everything that may be tried again.
   */
  postManifest(
    url: string,
    manifest: Uint8Array,
    limits: RequestLimits = {},
    headers?: (url: string) => Promise<Record<string, string>>,
  ): Promise<Answer> {
    const request = (target: string): OptionsInit => ({
      body: manifest,
      headers: { "content-type": "text/manifest" },
      hooks: {
        beforeRequest: [async (options) => void Object.assign(options.headers, await headers?.(target))],
      },
    });
    return this.#exchange(url, request, limits, manifest.length);
  }

  /** Sends a request once; its body is a manifest, if it has one. */
  ask(
    method: "GET" | "POST" | "DELETE",
    url: string,
    limits: RequestLimits,
    headers: Record<string, string> = {},
    body?: Uint8Array,
  ): Promise<Answer> {
    const request = body
      ? { method, headers: { ...headers, "content-type": "text/manifest" }, body }
      : { method, headers };
    return this.#exchange(url, () => request, { retries: 0, ...limits });
  }

  /** Posts a piece of a log that begins at `offset` bytes; not retried, the caller knows better. */
  postLog(url: string, offset: number, chunk: Uint8Array, signal: AbortSignal): Promise<Answer> {
    const target = new URL(url);
    target.searchParams.set("offset", String(offset));
    const headers = { "content-type": "application/octet-stream" };
    const request = () => ({ body: chunk, headers });
    return this.#exchange(target.href, request, { timeoutSeconds: 30, retries: 0, signal });
  }

  /**
   * Posts artifacts as `multipart/form-data`: fields `session` and `challenge`, then for each file a field `sha256`
   * followed by the file itself.
   */
  async postArtifacts(
    url: string,
    fields: { session: string; challenge?: string | undefined },
    files: readonly UploadedFile[],
    limits: RequestLimits = {},
  ): Promise<Answer> {
    const parts = files.flatMap(({ path, sha256 }): Part[] => [
      { name: "sha256", value: sha256 },
      { name: "file", path },
    ]);
    return await this.#postForm(url, [...fieldsOf(fields), ...parts], limits);
  }

  /**
   * Posts one archive of artifacts as controllers that do not know croft want it: fields `session`, `challenge`,
   * `instance` (what kind of archive it is), `sha256sum`, and the file as `archive`.
   */
  async postArchive(
    url: string,
    fields: { session: string; challenge?: string | undefined; instance: string },
    { path, sha256 }: UploadedFile,
    limits: RequestLimits = {},
  ): Promise<Answer> {
    const parts: Part[] = [
      { name: "sha256sum", value: sha256 },
      { name: "archive", path },
    ];
    return await this.#postForm(url, [...fieldsOf(fields), ...parts], limits);
  }

  /**
   * Posts a request, and writes what is answered to a file; it returns how many bytes that are.
   *
   * @throws {Rejection} for a refusal for good, {@link Unreachable} if there is no whole answer in spite of retries.
   */
  async download(url: string, request: Download, signal: AbortSignal): Promise<number> {
    const { connectTimeoutSeconds, requestTimeoutSeconds, requestRetries, agent } = this.#settings;
    const limitSeconds = requestTimeoutSeconds + Math.ceil(request.mostBytes / slowestBytesPerSecond);
    const settings = { connectTimeoutSeconds, limitSeconds, agent };
    try {
      return await tryAgain(() => downloadOnce(url, request, settings, signal), requestRetries, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    }
  }

  /**
   * Files are opened anew for each attempt. The client's own retries are none for streams: while it waits for the next, it throws
   * what the body's stream says of the connection that was lost, as it is.
   */
  async #postForm(url: string, parts: readonly Part[], limits: RequestLimits): Promise<Answer> {
    let size = 0;
    for (const part of parts) if ("path" in part) size += (await stat(part.path)).size;
    const { contentType, open } = multipartBody(parts);
    const request = () => ({ headers: { "content-type": contentType }, body: open() });
    const deadline = this.#deadline(limits, size);
    const { retries = this.#settings.requestRetries, signal } = limits;
    const over = signal ? AbortSignal.any([signal, deadline.signal]) : deadline.signal;
    try {
      const once = () => this.#follow(url, request, { ...limits, retries: 0 }, deadline);
      return await tryAgain(once, retries, over);
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  }

  #exchange(
    url: string,
    request: (url: string) => OptionsInit,
    limits: RequestLimits,
    sizeBytes = 0,
  ): Promise<Answer> {
    return this.#follow(url, request, limits, this.#deadline(limits, sizeBytes));
  }

  /** For all attempts together. */
  #deadline(
    { timeoutSeconds = this.#settings.requestTimeoutSeconds }: RequestLimits,
    bytes: number,
  ): Deadline {
    const limitSeconds = timeoutSeconds + Math.ceil(bytes / slowestBytesPerSecond);
    return { signal: AbortSignal.timeout(limitSeconds * 1000), limitSeconds };
  }

  /** Follows redirections that keep the method, but never from an encrypted connection to one that is not. */
  async #follow(
    url: string,
    request: (url: string) => OptionsInit,
    limits: RequestLimits,
    deadline: Deadline,
  ): Promise<Answer> {
    let target = url;
    for (let followed = 0; ; followed++) {
      const answer = await this.#send(target, request(target), limits, deadline);
      const next = followed < redirectionsMax ? redirectionOf(target, answer) : undefined;
      if (next === undefined) return accept(target, answer);
      target = next;
    }
  }

  async #send(url: string, request: OptionsInit, limits: RequestLimits, deadline: Deadline): Promise<Answer> {
    const tooLarge = new AbortController();
    const signals = [deadline.signal, tooLarge.signal, ...(limits.signal ? [limits.signal] : [])];
    const proxy = proxyAgentFor(url);
    try {
      const sending = got(url, {
        method: "POST",
        responseType: "buffer",
        throwHttpErrors: false,
        followRedirect: false,
        timeout: { connect: this.#settings.connectTimeoutSeconds * 1000 },
        retry: this.#retry(limits.retries ?? this.#settings.requestRetries),
        ...(proxy ? { agent: { [url.startsWith("https:") ? "https" : "http"]: proxy } } : {}),
        ...request,
        headers: { "user-agent": this.#settings.agent, ...request.headers },
        signal: AbortSignal.any(signals),
      } as OptionsInit & { responseType: "buffer" });
      void sending.on("downloadProgress", ({ transferred }) => {
        if (transferred > answerMaxBytes) tooLarge.abort();
      });
      const { statusCode, headers, body } = (await sending) as unknown as Response<Uint8Array>;
      return { status: statusCode, headers, body: Buffer.from(body) }; // got gives a plain Uint8Array
    } catch (error) {
      limits.signal?.throwIfAborted();
      throw reasonOfSilence(url, error, deadline, tooLarge.signal.aborted);
    }
  }

  #retry(limit: number): OptionsInit["retry"] {
    return {
      limit,
      methods: ["POST"],
      statusCodes: [429, 500, 502, 503, 504, 507, 521, 522, 524],
      enforceRetryRules: true,
      backoffLimit: longestPauseSeconds * 1000,
      maxRetryAfter: longestPauseSeconds * 1000,
    };
  }
}

/** Why there is no answer; a bug as it is. */
function reasonOfSilence(url: string, error: unknown, deadline: Deadline, isTooLarge: boolean): unknown {
  const reach = `reach ${withoutSecrets(url)}`;
  const options = { cause: error, isSilent: true };
  if (deadline.signal.aborted)
    return new Unreachable(reach, `no answer within ${deadline.limitSeconds} s`, options);
  if (isTooLarge)
    return new Unreachable(
      `read the answer of ${withoutSecrets(url)}`,
      `it is larger than ${answerMaxBytes} bytes`,
    );
  if (!(error instanceof RequestError)) return error;
  return error.cause instanceof Failure ? error.cause : new Unreachable(reach, error.message, options);
}

/** Where a redirection leads that says that the request is to be sent there as it is (RFC 9110, 15.4.8 and 15.4.9). */
export function redirectionOf(url: string, { status, headers }: Answer): string | undefined {
  const location = headers["location"];
  if ((status !== 307 && status !== 308) || typeof location !== "string") return undefined;
  const target = URL.parse(location, url);
  const allowed = url.startsWith("https:") ? ["https:"] : ["http:", "https:"];
  return target && allowed.includes(target.protocol) ? target.href : undefined;
}

function fieldsOf(fields: Record<string, string | undefined>): Part[] {
  return Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]));
}
