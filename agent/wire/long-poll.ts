import type { Answer } from "./answers.ts";
import type { HttpClient } from "./http.ts";

/** A controller has this much more for its answer than it is to wait. */
const graceSeconds = 15;

/**
 * Sends a request without a body that the controller may keep so long before it answers (RFC 7240, 4.3).
 *
 * @throws as {@link HttpClient.ask}.
 */
export function longPoll(
  client: Pick<HttpClient, "ask">,
  method: "GET" | "POST",
  url: string,
  waitSeconds: number,
  signal: AbortSignal,
): Promise<Answer> {
  const limits = { timeoutSeconds: waitSeconds + graceSeconds, signal };
  return client.ask(method, url, limits, { prefer: `wait=${waitSeconds}` });
}
