/**
 * The loops that tell people and their programs of builds: one looks up what came into another state, and one for each receiver sends, so
 * that none that stalls holds up the others, nor the controller.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { reasonOf } from "../../os/failure.ts";
import { startLoop } from "../../os/loop.ts";
import { ChangeWaiter } from "../builds/noting/changes.ts";
import type { Controller } from "../controller.ts";
import type { Notification } from "./notifications.ts";
import { Outbox } from "./outbox.ts";
import { send } from "./sending.ts";

/** Looked at so often, whatever was heard. */
const longestPauseMs = 60_000;
const shortestPauseMs = 100;
const pruneMs = 3_600_000;
/** To one receiver at a time. */
const atOnce = 4;

interface MessengerSettings {
  answerSeconds: number;
}

/**
 * Starts them, if anybody is to be told; disposing of it ends and joins them.
 *
 * @param url where the controller listens, without a slash at the end.
 */
export function startMessenger(
  controller: Controller,
  url: string,
  settings: MessengerSettings = { answerSeconds: 10 },
): AsyncDisposable {
  const { notifications, publicUrl } = controller.configuration;
  if (notifications.length === 0) return { [Symbol.asyncDispose]: async () => {} };
  const outbox = new Outbox(controller.database, notifications, publicUrl ?? url);
  const loops = new AsyncDisposableStack();
  for (const one of notifications)
    loops.use(startLoop((signal) => sendTo(one, controller, settings, signal)));
  loops.use(startLoop((signal) => lookUp(outbox, controller, signal)));
  return loops;
}

async function lookUp(outbox: Outbox, controller: Controller, signal: AbortSignal): Promise<void> {
  const { changes, deliveries, configuration, log } = controller;
  using waiter = new ChangeWaiter(changes, ["state"]);
  let prunedAt = 0;
  while (!signal.aborted) {
    try {
      waiter.take();
      for (let hasMore = true; hasMore;) {
        const looked = await outbox.empty();
        if (looked.hasMade) deliveries.nudge();
        hasMore = looked.hasMore;
      }
      if (Date.now() - prunedAt > pruneMs) {
        await deliveries.prune(configuration.notifications.map(({ name }) => name));
        prunedAt = Date.now();
      }
    } catch (error) {
      log.error({ reason: reasonOf(error) }, "cannot look up who is to be told of builds; trying again");
    }
    await waiter.wait(longestPauseMs, signal);
  }
}

async function sendTo(
  notification: Notification,
  controller: Controller,
  settings: MessengerSettings,
  signal: AbortSignal,
): Promise<void> {
  const { deliveries, log } = controller;
  let nudged = new AbortController();
  using _listener = deliveries.onNudge(() => nudged.abort());
  while (!signal.aborted) {
    let pauseMs = longestPauseMs;
    nudged = new AbortController();
    try {
      while (await sendDue(notification, controller, settings, signal));
      const seconds = await deliveries.nextSeconds(notification.name);
      if (seconds !== undefined) pauseMs = Math.min(pauseMs, Math.max(shortestPauseMs, seconds * 1000));
    } catch (error) {
      log.error(
        { notification: notification.name, reason: reasonOf(error) },
        "cannot look after messages; trying again",
      );
    }
    const woken = AbortSignal.any([signal, nudged.signal]);
    await sleep(pauseMs, undefined, { signal: woken }).catch(() => {});
  }
}

/** Sends what is due. @returns whether there may be more. */
async function sendDue(
  notification: Notification,
  { deliveries, configuration: { smtp }, log }: Controller,
  { answerSeconds }: MessengerSettings,
  signal: AbortSignal,
): Promise<boolean> {
  const due = await deliveries.takeDue(notification.name, atOnce);
  await Promise.all(
    due.map(async (delivery) => {
      const outcome = await send(notification, delivery, { smtp, answerSeconds, signal });
      if (signal.aborted && outcome.trouble !== null) return deliveries.release([delivery]);
      const state = await deliveries.settle(delivery, outcome);
      if (outcome.trouble === null) return;
      const about = { notification: notification.name, delivery: delivery.id, reason: outcome.trouble };
      if (state === "failed") log.error(about, "a message was not delivered; given up");
      else log.warn(about, "cannot deliver a message; trying again");
    }),
  );
  return due.length === atOnce && !signal.aborted;
}
