/** The loop that makes blobs of live logs that are over. */
import { setTimeout as sleep } from "node:timers/promises";
import { reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { startLoop } from "../../os/loop.ts";
import type { SharedLiveLogs } from "./shared-live-logs.ts";

const pauseMs = 60_000;

/** Starts the loop; disposing of it ends and joins it. */
export function startArchiving(liveLogs: Pick<SharedLiveLogs, "archive">, log: Log): AsyncDisposable {
  return startLoop((signal) => keepArchiving(liveLogs, log, signal));
}

async function keepArchiving(
  liveLogs: Pick<SharedLiveLogs, "archive">,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    // Controllers that were started at once do not look at once.
    await sleep(pauseMs * (0.5 + Math.random()), undefined, { signal, ref: false }).catch(() => {});
    if (signal.aborted) return;
    try {
      await liveLogs.archive();
    } catch (error) {
      log.warn({ reason: reasonOf(error) }, "cannot store live logs that are over; trying again");
    }
  }
}
