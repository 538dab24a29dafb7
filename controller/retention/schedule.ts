/** Removes what is kept no longer, every hour. */
import { setTimeout as sleep } from "node:timers/promises";
import { reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { startLoop } from "../../os/loop.ts";
import type { Retention } from "./retention.ts";

/** A start is a busy time; controllers that are started at once do not begin at once. */
const firstPauseMs = () => 300_000 + Math.random() * 300_000;
const pauseMs = 3_600_000;

/** Starts the loop; disposing of it ends and joins it. */
export function startRetention(retention: Retention, log: Log, firstMs = firstPauseMs()): AsyncDisposable {
  return startLoop((signal) => keepPruning(retention, log, firstMs, signal));
}

async function keepPruning(
  retention: Retention,
  log: Log,
  firstMs: number,
  signal: AbortSignal,
): Promise<void> {
  for (let pause = firstMs; ; pause = pauseMs) {
    await sleep(pause, undefined, { signal, ref: false }).catch(() => {});
    if (signal.aborted) return;
    try {
      const { builds, liveLogs, blobs } = await retention.prune(retention.rules, signal);
      if (builds.length + liveLogs.count + blobs.count > 0)
        log.info({ builds: builds.length, liveLogs, blobs }, "removed what is kept no longer");
    } catch (error) {
      log.error({ reason: reasonOf(error) }, "cannot remove what is kept no longer; trying again in an hour");
    }
  }
}
