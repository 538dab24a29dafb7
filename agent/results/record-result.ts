import type { Log } from "../../os/log.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { Result } from "../../manifests/result.ts";
import { formatResultRequest } from "../../manifests/result-request.ts";
import type { Assignment } from "../task-state/assignment.ts";
import { agentChecksum } from "../task-state/begin-task.ts";
import type { SpoolEntry } from "../task-state/spool.ts";
import { retryUntilDone, type RetryContext } from "./retry.ts";

/** The request that tells a controller the result. */
export function resultRequest(
  { session, answer }: Pick<Assignment, "session" | "answer">,
  result: Result,
): Uint8Array {
  return formatResultRequest(withoutUndefined({ session, agentChecksum, challenge: answer, result }));
}

/**
 * Writes the result down; while the disk is full, again and again: it is all that is left of the build.
 *
 * @throws the stop signal's reason; what the machine uploaded is to stay there then, for the next start.
 */
export function recordResult(
  context: RetryContext,
  entry: SpoolEntry,
  result: Result,
  log: Log,
): Promise<void> {
  const request = resultRequest(entry.assignment, result);
  return retryUntilDone(context, log, "result not written down yet", () => entry.setResult(request));
}
