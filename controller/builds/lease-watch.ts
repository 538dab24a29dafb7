/** The loop that ends leases: an agent that died gives no sign. */
import { setTimeout as sleep } from "node:timers/promises";
import { reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import type { Sessions } from "./sessions.ts";

/** Also the precision of leases where another controller changes them. */
const longestPauseMs = 5000;
const shortestPauseMs = 100;

/** Starts the loop; disposing of it ends and joins it. */
export function startLeaseWatch(sessions: Pick<Sessions, "expire">, log: Log): AsyncDisposable {
  const ended = new AbortController();
  const loop = watch(sessions, log, ended.signal);
  return {
    [Symbol.asyncDispose]: async () => {
      ended.abort();
      await loop;
    },
  };
}

async function watch(sessions: Pick<Sessions, "expire">, log: Log, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    let pause = longestPauseMs;
    try {
      const next = await sessions.expire();
      if (next) pause = Math.max(shortestPauseMs, Math.min(pause, next.getTime() - Date.now()));
    } catch (error) {
      log.error({ reason: reasonOf(error) }, "cannot look for expired leases; trying again");
    }
    await sleep(pause, undefined, { signal }).catch(() => {});
  }
}
