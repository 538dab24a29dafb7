/** Tells systemd what a service is doing (sd_notify(3)); outside of a service nothing happens. */
import { Failure, reasonOf } from "./failure.ts";

/** What may be told: that the service is up, and one line of what it does now. */
export interface Notification {
  ready?: boolean;
  status?: string;
}

/**
 * Sends a notification with the `systemd-notify` program.
 *
 * @throws {Failure} if that cannot be done under systemd.
 */
export async function notifySystemd(notification: Notification): Promise<void> {
  if (!process.env["NOTIFY_SOCKET"]) return;
  const { default: notify } = await import("systemd-notify");
  try {
    await notify({ ...notification, pid: process.pid });
  } catch (error) {
    throw new Failure("notify systemd", reasonOf(error), { cause: error });
  }
}
