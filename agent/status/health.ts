import { formatDuration } from "../../os/text/duration.ts";
import { activityText, describePhase } from "./activity.ts";
import type { Settings } from "../settings/settings.ts";
import type { Status } from "./status.ts";

/** A fault is no state before it has lasted so long. */
const faultSeconds = 60;

/** Whether the agent does its work; if not, why. */
export type Health = { healthy: true } | { healthy: false; reason: string };

/**
 * Judges by what the agent is doing: unhealthy if a phase takes longer than it ever should (each has its limit, from
 * the settings), or if faults of the farm have kept it from working for more than a minute. An agent whose machine is up
 * works, whatever went wrong before; a machine that is held for the operator is as intended, and a controller that
 * cannot be reached is not the agent's fault.
 */
export function healthOf(
  status: Pick<Status, "activity" | "seconds" | "fault">,
  settings: Settings,
  now = performance.now(),
): Health {
  const { activity, seconds, fault } = status;
  const { limitSeconds, works } = describePhase(activity.phase);
  const limit = limitSeconds?.(settings);
  if (limit !== undefined && seconds > limit)
    return {
      healthy: false,
      reason: `stuck since ${formatDuration(seconds)}: ${activityText(activity, seconds)}`,
    };
  const faultySeconds = fault && !works ? (now - fault.sinceMs) / 1000 : 0;
  if (fault && faultySeconds > faultSeconds)
    return { healthy: false, reason: `faults since ${formatDuration(faultySeconds)}: ${fault.reason}` };
  return { healthy: true };
}
