/**
 * What a task works on: a snapshot of the bootstrapped machine, which is compared with what was offered. Agents have all
 * copies of a machine locked when they replace it; other programs know its first lock alone, and may do so while a task on
 * another copy begins.
 */
import { formatBootstrappedMachine, type BootstrappedMachine } from "../../manifests/bootstrapped-machine.ts";
import type { MachinePaths } from "../../machines/layout.ts";
import { readBootstrappedManifest } from "../../machines/manifest-files.ts";
import { temporarySnapshot, type TemporarySnapshot } from "../../machines/temporary-snapshot.ts";
import { assertFailure, Failure } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { PerformingContext } from "./context.ts";

/** The machine is another than was offered: nobody's fault, and a reason to give the task out again. */
export class MachineChanged extends Failure {}

interface SnapshotContext extends Pick<PerformingContext, "storage"> {
  settings: Pick<PerformingContext["settings"], "instance">;
  phases: Pick<PerformingContext["phases"], "time">;
}

interface SnapshotRun {
  machine: { paths: MachinePaths; bootstrapped: BootstrappedMachine };
  log: Log;
  interruption: { signal: AbortSignal };
}

/**
 * Makes snapshots, one for each try: the one before is thrown away with what a mis-boot did to it.
 *
 * @param disks a directory in the machine: its disks instead of those of the machine.
 * @returns makes one, or throws {@link MachineChanged} if it is not of the machine that was offered.
 */
export function snapshotMaker(
  context: SnapshotContext,
  run: SnapshotRun,
  stack: AsyncDisposableStack,
  disks?: string,
): () => Promise<string> {
  const snapshots = stack.use(new AsyncDisposableStack());
  let last: AsyncDisposable | undefined;
  return async () => {
    await last?.[Symbol.asyncDispose]();
    using _making = context.phases.time("snapshot");
    // Once more, as somebody may just have put another one in its place.
    const made = (await offeredSnapshot(context, run, disks)) ?? (await offeredSnapshot(context, run, disks));
    const { name } = run.machine.paths;
    if (!made)
      throw new MachineChanged(`use machine '${name}'`, "it is another one than was offered, or gone");
    last = snapshots.use(made);
    return made.path;
  };
}

/** @returns undefined if the machine is gone, or another one. */
async function offeredSnapshot(
  { settings: { instance }, storage }: SnapshotContext,
  { machine: { paths, bootstrapped }, log, interruption: { signal } }: SnapshotRun,
  disks: string | undefined,
): Promise<TemporarySnapshot | undefined> {
  const isOffered = (path: string) => isSame(readBootstrappedManifest(paths, path), bootstrapped);
  await using onFailure = new AsyncDisposableStack();
  const options = { from: paths.bootstrapped, paths, instance, mode: "overlay" as const, log, signal };
  let made: TemporarySnapshot;
  try {
    made = onFailure.use(await temporarySnapshot(storage, { ...options, ...withoutUndefined({ disks }) }));
  } catch (error) {
    assertFailure(error);
    if (isOffered(paths.bootstrapped)) throw error;
    return undefined;
  }
  if (!isOffered(made.path)) return undefined;
  onFailure.move();
  return made;
}

function isSame(one: BootstrappedMachine | undefined, other: BootstrappedMachine): boolean {
  if (one === undefined) return false;
  return Buffer.from(formatBootstrappedMachine(one)).equals(formatBootstrappedMachine(other));
}
