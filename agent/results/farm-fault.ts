/** Faults of the farm: which errors are no machine's fault. */
import { Failure, hasNoRoom, isSystemError } from "../../os/failure.ts";

/** Pauses after faults of the farm grow up to this. */
export const faultPauseMaxSeconds = 600;

const disks = ["EIO", "EROFS"];
const rights = ["EACCES", "EPERM"];
const resources = ["EMFILE", "ENFILE", "ENOMEM", "ERR_WORKER_INIT_FAILED"];

/** True for such a system error, and for a {@link Failure} because of one. */
export function isFarmFault(error: unknown): boolean {
  const cause = error instanceof Failure ? error.cause : error;
  return hasNoRoom(cause) || isSystemError(cause, ...disks, ...rights, ...resources);
}
