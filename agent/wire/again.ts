/** Requests whose body or answer is a stream are tried again here, and not by the client: each try opens it anew. */
import { setTimeout as sleep } from "node:timers/promises";
import { Backoff } from "../../os/backoff.ts";
import { Unreachable } from "./answers.ts";

/** Whoever wants us to wait longer is asked again in a later round. */
export const longestPauseSeconds = 20;

/**
 * Tries until there is an answer for good, with growing pauses, or those that are asked for.
 *
 * @param signal ends a pause; then the last try counts.
 * @throws what the last try throws.
 */
export async function tryAgain<T>(once: () => Promise<T>, retries: number, signal: AbortSignal): Promise<T> {
  const pauses = new Backoff<"tries">(longestPauseSeconds);
  for (let left = retries; ; left--)
    try {
      return await once();
    } catch (error) {
      const mayPass = error instanceof Unreachable && error.afterSeconds <= longestPauseSeconds;
      if (!mayPass || left <= 0 || signal.aborted) throw error;
      const pauseSeconds = Math.max(pauses.failed("tries"), error.afterSeconds);
      await sleep(pauseSeconds * 1000, undefined, { signal }).catch(() => {});
      if (signal.aborted) throw error;
    }
}
