import { setTimeout as sleep } from "node:timers/promises";
import { patienceMs } from "../fixtures/patience.ts";

/** Waits until a condition holds, asking again and again; throws after the time. */
export async function until(
  holds: () => Promise<boolean>,
  what: string,
  timeoutMs = patienceMs,
): Promise<void> {
  const began = Date.now();
  while (!(await holds())) {
    const waitedMs = Date.now() - began;
    if (waitedMs > timeoutMs) throw new Error(`waited in vain for ${what}`);
    // What has not come at once comes late, too: the question is not to take the processors from what is waited for.
    await sleep(Math.min(250, 20 + waitedMs / 10));
  }
}
