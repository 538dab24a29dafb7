/** The loop that looks after leases: an agent that died gives no sign. */
import { setTimeout as sleep } from "node:timers/promises";
import { reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { startLoop } from "../../os/loop.ts";
import type { Leases } from "./leases.ts";

/** How often a controller says that it is there; also the precision of leases where another controller changes them. */
const longestPauseMs = 5000;
const shortestPauseMs = 100;

/** Starts the loop; disposing of it ends and joins it. */
export function startLeaseWatch(leases: Pick<Leases, "look">, log: Log): AsyncDisposable {
  return startLoop((signal) => watch(leases, log, signal));
}

async function watch(leases: Pick<Leases, "look">, log: Log, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    let pause = longestPauseMs;
    try {
      const nextMs = await leases.look();
      // One that is over, and is not to end now, is looked at again after the longest pause.
      if (nextMs !== undefined && nextMs > 0) pause = Math.max(shortestPauseMs, Math.min(pause, nextMs));
    } catch (error) {
      log.error({ reason: reasonOf(error) }, "cannot look after the leases of builds; trying again");
    }
    await sleep(pause, undefined, { signal }).catch(() => {});
  }
}
