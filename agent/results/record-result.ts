import { Failure } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { Result } from "../../manifests/result.ts";
import { ManifestWriteError } from "../../manifests/error.ts";
import { formatResultRequestInPieces } from "../../manifests/result-request.ts";
import type { Assignment } from "../task-state/assignment.ts";
import { agentChecksum } from "../task-state/begin-task.ts";
import type { SpoolEntry } from "../task-state/spool.ts";
import { retryUntilDone, type RetryContext } from "./retry.ts";

/** The request that tells a controller the result; in pieces, each of which is made in a moment. */
export function resultRequest(
  { session, answer }: Pick<Assignment, "session" | "answer">,
  result: Result,
): Iterable<Uint8Array> {
  return formatResultRequestInPieces(withoutUndefined({ session, agentChecksum, challenge: answer, result }));
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
  return retryUntilDone(context, log, "result not written down yet", async () => {
    try {
      await entry.setResult(resultRequest(entry.assignment, result));
    } catch (error) {
      // A bug, which does not go away by trying again.
      throw error instanceof Failure && error.cause instanceof ManifestWriteError ? error.cause : error;
    }
  });
}
