import type { Answer } from "./answers.ts";
import type { HttpClient } from "./http.ts";

/** A controller has this much more for its answer than it is to wait. */
const graceSeconds = 15;

/** What goes with it. */
interface LongPoll {
  /** A manifest; absent: the request has no body. */
  body?: Uint8Array;
  signal: AbortSignal;
}

/**
 * Sends a request that the controller may keep so long before it answers (RFC 7240, 4.3).
 *
 * @throws as {@link HttpClient.ask}.
 */
export function longPoll(
  client: Pick<HttpClient, "ask">,
  method: "GET" | "POST",
  url: string,
  waitSeconds: number,
  { body, signal }: LongPoll,
): Promise<Answer> {
  const limits = { timeoutSeconds: waitSeconds + graceSeconds, signal };
  return client.ask(method, url, limits, { prefer: `wait=${waitSeconds}` }, body);
}
