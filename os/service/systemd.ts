/**
 * Tells systemd what a service is doing (sd_notify(3)); outside of a service nothing happens.
 *
 * Readiness and status go through the `systemd-notify` program (package `systemd-notify`), a process for each. What
 * it cannot send, or what must not cost a process (the watchdog's pings), goes through libsystemd in process; where
 * that library is missing, through the program again.
 */
import { Failure, reasonOf } from "../failure.ts";
import type { Log } from "../log.ts";
import { run } from "../run.ts";

/** What may be told: that the service is up, and one line of what it does now. */
export interface Notification {
  ready?: boolean;
  status?: string;
}

const programTimeoutSeconds = 10;

/**
 * Sends readiness and status with the `systemd-notify` program.
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

/** Sends a state, lines `NAME=value` of sd_notify(3). */
export type SendState = (state: string) => Promise<void>;

let sender: Promise<SendState> | undefined;

/**
 * Sends a state that is not readiness or status alone.
 *
 * @throws {Failure} if that cannot be done under systemd.
 */
export async function sendState(state: string): Promise<void> {
  if (!process.env["NOTIFY_SOCKET"]) return;
  sender ??= openSender("libsystemd.so.0");
  await (
    await sender
  )(state);
}

/** A sender through a library in process, or through the program if there is no such library. */
async function openSender(library: string): Promise<SendState> {
  const { default: koffi } = await import("koffi"); // only services need it
  try {
    const notify = koffi.load(library).func("int sd_notify(int, const char *)") as (
      unset: number,
      state: string,
    ) => number;
    return async (state) => {
      const result = notify(0, state);
      if (result < 0) throw new Failure("notify systemd", `sd_notify(3) failed with error ${-result}`);
    };
  } catch {
    return async (state) => {
      await run(["systemd-notify", ...state.split("\n")], { timeoutSeconds: programTimeoutSeconds });
    };
  }
}

/** How often the watchdog wants to hear of this process, in milliseconds; undefined if it does not (sd_watchdog_enabled(3)). */
export function watchdogMilliseconds(env: NodeJS.ProcessEnv, pid: number): number | undefined {
  const microseconds = Number(env["WATCHDOG_USEC"]);
  const meant = env["WATCHDOG_PID"];
  if (!Number.isSafeInteger(microseconds) || microseconds <= 0) return undefined;
  if (meant !== undefined && meant !== String(pid)) return undefined;
  return microseconds / 1000;
}

/**
 * Pings the watchdog from the event loop, twice in the time that it allows: once the loop hangs, nothing is sent, and
 * systemd ends the process.
 */
export function feedWatchdog(log: Log, env = process.env, send: SendState = sendState): Disposable {
  const milliseconds = watchdogMilliseconds(env, process.pid);
  if (milliseconds === undefined) return { [Symbol.dispose]: () => {} };
  let failed = false;
  const ping = () => {
    send("WATCHDOG=1").then(
      () => (failed = false),
      (error: unknown) => {
        if (!failed) log.warn({ reason: reasonOf(error) }, "the watchdog could not be told");
        failed = true;
      },
    );
  };
  ping();
  const timer = setInterval(ping, milliseconds / 2).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
