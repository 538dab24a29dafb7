/** The agent's one HTTP client: everything it says to controllers goes through here. */
import { openAsBlob } from "node:fs";
import { basename } from "node:path";
import got, { HTTPError, RequestError, type OptionsInit, type Response } from "got";
import { Failure } from "../host/failure.ts";

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
export class Refusal extends Failure {
  readonly status: number;
  readonly answer: string;

  constructor(url: string, status: number, body: Buffer) {
    const answer = body.subarray(0, 2000).toString("utf8").trim();
    super(`send to ${url}`, `the controller answered ${status}${answer ? `: ${answer.split("\n")[0]}` : ""}`);
    this.name = "Refusal";
    this.status = status;
    this.answer = answer;
  }
}

/** The controller could not be reached, answered too late, or with 5xx, 429 or a redirection: worth another try later. */
export class Unreachable extends Failure {
  override readonly name = "Unreachable";
}

/** No answer of a controller may be larger; a task manifest is a few KiB. */
const answerMaxBytes = 4 * 1024 * 1024;

export class HttpClient {
  readonly #settings: HttpSettings;

  constructor(settings: HttpSettings) {
    this.#settings = settings;
  }

  /**
   * Posts a manifest.
   *
   * @throws {Refusal} for 4xx, {@link Unreachable} for everything that may be tried again.
   */
  postManifest(
    url: string,
    manifest: Uint8Array,
    options: { timeoutSeconds?: number; signal?: AbortSignal } = {},
  ): Promise<Answer> {
    return this.#post(url, { body: manifest, headers: { "content-type": "text/manifest" } }, options);
  }

  /** Posts a piece of a log that begins at `offset` bytes; not retried, the caller knows better. */
  postLog(url: string, offset: number, chunk: Uint8Array, signal: AbortSignal): Promise<Answer> {
    const target = new URL(url);
    target.searchParams.set("offset", String(offset));
    const headers = { "content-type": "application/octet-stream" };
    return this.#post(
      target.href,
      { body: chunk, headers, retry: { limit: 0 } },
      { timeoutSeconds: 30, signal },
    );
  }

  /**
   * Posts artifacts as `multipart/form-data`: fields `session` and `challenge`, then for each file a field `sha256`
   * followed by the file itself.
   */
  async postArtifacts(
    url: string,
    fields: { session: string; challenge?: string | undefined },
    files: readonly { path: string; sha256: string }[],
    options: { signal?: AbortSignal } = {},
  ): Promise<Answer> {
    const form = new FormData();
    form.set("session", fields.session);
    if (fields.challenge !== undefined) form.set("challenge", fields.challenge);
    for (const { path, sha256 } of files) {
      form.append("sha256", sha256);
      form.append("file", await openAsBlob(path), basename(path));
    }
    return this.#post(url, { body: form }, options);
  }

  async #post(
    url: string,
    request: OptionsInit,
    options: { timeoutSeconds?: number; signal?: AbortSignal },
  ): Promise<Answer> {
    const limitSeconds = options.timeoutSeconds ?? this.#settings.requestTimeoutSeconds;
    const tooLarge = new AbortController();
    const deadline = AbortSignal.timeout(limitSeconds * 1000);
    const signals = [deadline, tooLarge.signal, ...(options.signal ? [options.signal] : [])];
    try {
      const sending = got(url, {
        method: "POST",
        responseType: "buffer",
        throwHttpErrors: false,
        followRedirect: false,
        timeout: { connect: this.#settings.connectTimeoutSeconds * 1000 },
        retry: this.#retry(),
        ...request,
        headers: { "user-agent": this.#settings.agent, ...request.headers },
        signal: AbortSignal.any(signals),
      } as OptionsInit & { responseType: "buffer" });
      void sending.on("downloadProgress", ({ transferred }) => {
        if (transferred > answerMaxBytes) tooLarge.abort();
      });
      return accept(url, (await sending) as unknown as Response<Buffer>);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (deadline.aborted)
        throw new Unreachable(`reach ${url}`, `no answer within ${limitSeconds} s`, { cause: error });
      if (tooLarge.signal.aborted)
        throw new Unreachable(`read the answer of ${url}`, `it is larger than ${answerMaxBytes} bytes`);
      if (error instanceof HTTPError) throw answerFailure(url, error.response as Response<Buffer>);
      if (error instanceof RequestError)
        throw new Unreachable(`reach ${url}`, error.message, { cause: error });
      throw error;
    }
  }

  #retry(): OptionsInit["retry"] {
    return {
      limit: this.#settings.requestRetries,
      methods: ["POST"],
      statusCodes: [429, 500, 502, 503, 504, 507, 521, 522, 524],
      enforceRetryRules: true,
      backoffLimit: 20_000,
    };
  }
}

function accept(url: string, response: Response<Buffer>): Answer {
  const status = response.statusCode;
  if (status >= 200 && status < 300) return { status, body: response.body, headers: response.headers };
  throw answerFailure(url, response);
}

function answerFailure(url: string, response: Response<Buffer>): Failure {
  const status = response.statusCode;
  if (status >= 400 && status < 500 && status !== 429)
    return new Refusal(url, status, Buffer.from(response.body ?? ""));
  const hint =
    status >= 300 && status < 400
      ? ` (a redirection to ${String(response.headers.location)}; use that URL)`
      : "";
  return new Unreachable(`send to ${url}`, `the controller answered ${status}${hint}`);
}
