import { setTimeout as sleep } from "node:timers/promises";
import { assertFailure } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import type { Status } from "../status/status.ts";
import { Backoff } from "../../os/backoff.ts";
import type { Delivery } from "./delivery.ts";
import { faultPauseMaxSeconds } from "./farm-fault.ts";

/** What it takes to wait until a fault of the farm is over. */
export interface RetryContext {
  readonly status: Status;
  readonly delivery: Pick<Delivery, "sendDue">;
  /** Aborted when the agent is asked to end. */
  readonly stop: AbortSignal;
}

/**
 * Does what a result of a machine depends on; if it fails, again and again with growing pauses, in which earlier
 * results are sent: they may be what the disk is full of.
 *
 * @param message for the log, at each failure.
 * @throws the stop signal's reason; whatever is no {@link Failure}.
 */
export async function retryUntilDone<T>(
  context: RetryContext,
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

async function sendEarlier(delivery: RetryContext["delivery"], log: Log, stop: AbortSignal): Promise<void> {
  try {
    await delivery.sendDue(stop);
  } catch (error) {
    assertFailure(error);
    log.warn({ reason: error.message }, "earlier results cannot be sent");
  }
}
