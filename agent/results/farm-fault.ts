/** Faults of the farm: which errors are no machine's fault, and how what must not be lost waits until they are over. */
import { setTimeout as sleep } from "node:timers/promises";
import { assertFailure, Failure, isSystemError } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { Backoff } from "../wire/backoff.ts";
import { faultPauseMaxSeconds, type Context } from "../context.ts";

const space = ["ENOSPC", "EDQUOT"];
const disks = ["EIO", "EROFS"];
const rights = ["EACCES", "EPERM"];
const resources = ["EMFILE", "ENFILE", "ENOMEM"];

/** True for such a system error, and for a {@link Failure} because of one. */
export function isFarmFault(error: unknown): boolean {
  const cause = error instanceof Failure ? error.cause : error;
  return isSystemError(cause, ...space, ...disks, ...rights, ...resources);
}

/**
 * Does what a result of a machine depends on; if it fails, again and again with growing pauses, in which earlier
 * results are sent: they may be what the disk is full of.
 *
 * @param message for the log, at each failure.
 * @throws the stop signal's reason; whatever is no {@link Failure}.
 */
export async function patiently<T>(
  context: Pick<Context, "stop" | "status" | "delivery">,
  log: Log,
  message: string,
  work: () => Promise<T>,
): Promise<T> {
  const { stop, status, delivery } = context;
  const pauses = new Backoff<"work">(faultPauseMaxSeconds);
  for (;;) {
    try {
      return await work();
    } catch (error) {
      assertFailure(error);
      const pauseSeconds = pauses.failed("work");
      log.error({ reason: error.message, pauseSeconds }, message);
      status.failed(error.message);
      const { phase, ...about } = status.activity;
      status.set("pausing", { ...about, reason: error.message });
      await sendEarlier(delivery, log, stop);
      await sleep(pauseSeconds * 1000, undefined, { signal: stop }).catch(() => {});
      stop.throwIfAborted();
      status.set(phase, about);
    }
  }
}

async function sendEarlier(delivery: Context["delivery"], log: Log, stop: AbortSignal): Promise<void> {
  try {
    await delivery.sendDue(stop);
  } catch (error) {
    assertFailure(error);
    log.warn({ reason: error.message }, "earlier results cannot be sent");
  }
}
