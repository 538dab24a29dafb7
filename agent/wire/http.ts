/** The agent's one HTTP client: everything it says to controllers goes through here. */
import { openAsBlob } from "node:fs";
import { basename } from "node:path";
import got, { RequestError, type OptionsInit, type Response } from "got";
import { Failure } from "../../os/failure.ts";
import { withoutSecrets } from "../../os/network/url.ts";

export interface HttpSettings {
  connectTimeoutSeconds: number;
  requestTimeoutSeconds: number;
  requestRetries: number;
  /** Sent as `User-Agent`. */
  agent: string;
}

/** An answer of a controller. */
export interface Answer {
  status: number;
  body: Buffer;
  headers: Record<string, string | string[] | undefined>;
}

/** The controller refused for good (4xx but 429): asking again would give the same answer. */
export class Rejection extends Failure {
  readonly status: number;
  readonly answer: string;
  readonly headers: Answer["headers"];

  constructor(url: string, { status, body, headers }: Answer) {
    const answer = body.subarray(0, 2000).toString("utf8").trim();
    super(
      `send to ${withoutSecrets(url)}`,
      `the controller answered ${status}${answer ? `: ${answer.split("\n")[0]}` : ""}`,
    );
    this.name = "Rejection";
    this.status = status;
    this.answer = answer;
    this.headers = headers;
  }
}

/** The controller could not be reached, answered too late, or with 5xx, 429 or a redirection: worth another try later. */
export class Unreachable extends Failure {
  override readonly name = "Unreachable";
}

/** Slower than this no upload is waited for. */
const slowestBytesPerSecond = 256 * 1024;

/** How long and how often to try; the time and the retries of the settings unless told. */
export interface RequestLimits {
  timeoutSeconds?: number;
  retries?: number;
  signal?: AbortSignal;
}

/** No answer of a controller may be larger; a task manifest is a few KiB. */
const answerMaxBytes = 4 * 1024 * 1024;

export class HttpClient {
  readonly #settings: HttpSettings;

  constructor(settings: HttpSettings) {
    this.#settings = settings;
  }

  /**
   * Posts a manifest; `headers` are made anew for each attempt.
   *
   * @throws {Rejection} for 4xx, {@link Unreachable} for everything that may be tried again.
   */
  postManifest(
    url: string,
    manifest: Uint8Array,
    limits: RequestLimits = {},
    headers?: () => Promise<Record<string, string>>,
  ): Promise<Answer> {
    const request: OptionsInit = { body: manifest, headers: { "content-type": "text/manifest" } };
    if (headers)
      request.hooks = {
        beforeRequest: [async (options) => void Object.assign(options.headers, await headers())],
      };
    return this.#post(url, request, limits, manifest.length);
  }

  /** Posts a piece of a log that begins at `offset` bytes; not retried, the caller knows better. */
  postLog(url: string, offset: number, chunk: Uint8Array, signal: AbortSignal): Promise<Answer> {
    const target = new URL(url);
    target.searchParams.set("offset", String(offset));
    const headers = { "content-type": "application/octet-stream" };
    return this.#post(target.href, { body: chunk, headers }, { timeoutSeconds: 30, retries: 0, signal });
  }

  /**
   * Posts artifacts as `multipart/form-data`: fields `session` and `challenge`, then for each file a field `sha256`
   * followed by the file itself.
   */
  async postArtifacts(
    url: string,
    fields: { session: string; challenge?: string | undefined },
    files: readonly { path: string; sha256: string }[],
    limits: RequestLimits = {},
  ): Promise<Answer> {
    const form = new FormData();
    form.set("session", fields.session);
    if (fields.challenge !== undefined) form.set("challenge", fields.challenge);
    let size = 0;
    for (const { path, sha256 } of files) {
      const content = await openAsBlob(path);
      size += content.size;
      form.append("sha256", sha256);
      form.append("file", content, basename(path));
    }
    return this.#post(url, { body: form }, limits, size);
  }

  async #post(url: string, request: OptionsInit, limits: RequestLimits, sizeBytes = 0): Promise<Answer> {
    const patienceSeconds = limits.timeoutSeconds ?? this.#settings.requestTimeoutSeconds;
    const limitSeconds = patienceSeconds + Math.ceil(sizeBytes / slowestBytesPerSecond);
    const tooLarge = new AbortController();
    const deadline = AbortSignal.timeout(limitSeconds * 1000);
    const signals = [deadline, tooLarge.signal, ...(limits.signal ? [limits.signal] : [])];
    try {
      const sending = got(url, {
        method: "POST",
        responseType: "buffer",
        throwHttpErrors: false,
        followRedirect: false,
        timeout: { connect: this.#settings.connectTimeoutSeconds * 1000 },
        retry: this.#retry(limits.retries ?? this.#settings.requestRetries),
        ...request,
        headers: { "user-agent": this.#settings.agent, ...request.headers },
        signal: AbortSignal.any(signals),
      } as OptionsInit & { responseType: "buffer" });
      void sending.on("downloadProgress", ({ transferred }) => {
        if (transferred > answerMaxBytes) tooLarge.abort();
      });
      return accept(url, (await sending) as unknown as Response<Uint8Array>);
    } catch (error) {
      limits.signal?.throwIfAborted();
      if (deadline.aborted)
        throw new Unreachable(`reach ${withoutSecrets(url)}`, `no answer within ${limitSeconds} s`, {
          cause: error,
        });
      if (tooLarge.signal.aborted)
        throw new Unreachable(
          `read the answer of ${withoutSecrets(url)}`,
          `it is larger than ${answerMaxBytes} bytes`,
        );
      if (error instanceof RequestError && error.cause instanceof Failure) throw error.cause;
      if (error instanceof RequestError)
        throw new Unreachable(`reach ${withoutSecrets(url)}`, error.message, { cause: error });
      throw error;
    }
  }

  #retry(limit: number): OptionsInit["retry"] {
    return {
      limit,
      methods: ["POST"],
      statusCodes: [429, 500, 502, 503, 504, 507, 521, 522, 524],
      enforceRetryRules: true,
      backoffLimit: 20_000,
      maxRetryAfter: 20_000, // whoever wants us to wait longer is asked again in a later round
    };
  }
}

function accept(url: string, response: Response<Uint8Array>): Answer {
  const { statusCode: status, headers } = response;
  const body = Buffer.from(response.body); // got gives a plain Uint8Array
  if (status >= 200 && status < 300) return { status, body, headers };
  if (status >= 400 && status < 500 && status !== 429) throw new Rejection(url, { status, body, headers });
  const hint =
    status >= 300 && status < 400 ? ` (a redirection to ${String(headers.location)}; use that URL)` : "";
  throw new Unreachable(`send to ${withoutSecrets(url)}`, `the controller answered ${status}${hint}`);
}
