/**
 * What an answer to a POST means, by who speaks: between agent and controller there may be proxies, and while these have
 * no controller behind them, they answer with anything: 404, 403, even 200 with a page.
 *
 * A controller's answer is a manifest, JSON or plain text, or a success with nothing in it; whatever else comes is a
 * proxy's, and says nothing about the request. A refusal for good is a controller's own 4xx, except for those that mean
 * another time.
 */
import { retryAfterSeconds } from "../../os/backoff.ts";
import { Failure } from "../../os/failure.ts";
import { withoutSecrets } from "../../os/network/url.ts";
import { textOfAnswer, type Answer } from "./answer-text.ts";

export type { Answer } from "./answer-text.ts";

/** The controller refused for good (4xx): asking again would give the same answer. */
export class Rejection extends Failure {
  readonly status: number;
  readonly answer: string;
  readonly headers: Answer["headers"];

  constructor(url: string, answer: Answer) {
    const text = textOfAnswer(answer);
    super(`send to ${withoutSecrets(url)}`, `the controller answered ${answer.status}${text && `: ${text}`}`);
    this.name = "Rejection";
    this.status = answer.status;
    this.answer = answer.body.subarray(0, 2000).toString("utf8").trim();
    this.headers = answer.headers;
  }

  /** The agent's key is not known (yet, or any more): a key that is being exchanged. */
  get isOfKey(): boolean {
    return this.status === 401 || this.status === 403;
  }
}

/** Nobody who could decide has answered, or not now: worth another try later. */
export class Unreachable extends Failure {
  override readonly name = "Unreachable";
  /** Nothing came at all: others who ask the same controller would wait in vain, too. */
  readonly isSilent: boolean;
  /** So long whoever answered does not want to be asked again. */
  readonly afterSeconds: number;

  constructor(
    action: string,
    reason: string,
    options: { cause?: unknown; isSilent?: boolean; afterSeconds?: number } = {},
  ) {
    super(action, reason, options.cause === undefined ? {} : { cause: options.cause });
    this.isSilent = options.isSilent === true;
    this.afterSeconds = options.afterSeconds ?? 0;
  }
}

/** 4xx that mean another time: RFC 9110 (408, 421), RFC 8470 (425), RFC 6585 (429). */
const anotherTime: readonly number[] = [408, 421, 425, 429];
const spoken: readonly string[] = ["text/manifest", "application/json", "text/plain"];

/**
 * Gives the answer of a controller that did what it was asked.
 *
 * @throws {Rejection} if it refuses for good, {@link Unreachable} for everything that may be tried again.
 */
export function accept(url: string, answer: Answer): Answer {
  const { status, headers } = answer;
  const isSuccess = status >= 200 && status < 300;
  const isOwn = isControllers(answer);
  if (isSuccess && isOwn) return answer;
  if (isOwn && status >= 400 && status < 500 && !anotherTime.includes(status))
    throw new Rejection(url, answer);
  const afterSeconds = retryAfterSeconds(headers["retry-after"]?.toString());
  const why = unusable(status, isOwn, headers, answer);
  throw new Unreachable(`send to ${withoutSecrets(url)}`, why, { afterSeconds });
}

function isControllers({ status, body, headers }: Answer): boolean {
  if (body.length === 0) return status >= 200 && status < 300;
  return spoken.includes(mediaType(headers));
}

function unusable(status: number, isOwn: boolean, headers: Answer["headers"], answer: Answer): string {
  if (status >= 300 && status < 400)
    return `the controller answered ${status} (a redirection to ${withoutSecrets(String(headers["location"]))}; use that URL)`;
  const text = textOfAnswer(answer);
  if (isOwn) return `the controller answered ${status}${text && `: ${text}`}`;
  const what = answer.body.length === 0 ? "nothing" : mediaType(headers) || "an answer without a type";
  return `answered ${status} with ${what}, which is not the controller but something before it${text && `: ${text}`}`;
}

function mediaType(headers: Answer["headers"]): string {
  return String(headers["content-type"] ?? "")
    .replace(/;[^]*$/, "")
    .trim()
    .toLowerCase();
}
