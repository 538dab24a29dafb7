import { Failure } from "../../os/failure.ts";
import type { MachineEnd } from "../../machines/virtual-machine.ts";

/**
 * Where the host has no room for a machine's disk, that is a fault of the farm: another build may have taken it.
 *
 * @throws {Failure} if the machine has ended by that.
 */
export function assertRoom(machine: string, end: MachineEnd): void {
  if (end.how === "room")
    throw new Failure(`go on with machine '${machine}'`, end.detail, {
      hints: ["Give the machines' volume as much room as all instances' machines may write."],
    });
}
