import { setTimeout as sleep } from "node:timers/promises";
import { patienceMs } from "../fixtures/patience.ts";

/** Waits until a condition holds, asking again and again; throws after the time. */
export async function until(
  holds: () => Promise<boolean>,
  what: string,
  timeoutMs = patienceMs,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await sleep(50);
  }
}
