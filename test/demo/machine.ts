/** The demo's build machine: a Debian, made once for tests and demo, and kept in the demo's own file system. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { silentLog } from "../../host/log.ts";
import { currentRevision, machinePaths, manifestPath, revisionPath } from "../../machines/layout.ts";
import {
  currentRevisionNumber,
  listRevisions,
  newRevisionPath,
  publishRevision,
} from "../../machines/revisions.ts";
import { openStorage } from "../../machines/storage.ts";
import { debianMachine } from "../fixtures/images.ts";
import type { Screen } from "./screen.ts";
import type { DemoState } from "./state.ts";

const volume = "demo";
const name = "debian";

/**
 * Sees to it that the demo's machines directory has the machine of the present sources.
 *
 * @returns whether it was there already.
 */
export async function provideMachine(
  state: DemoState,
  toolchain: string,
  screen: Screen,
  signal: AbortSignal,
): Promise<boolean> {
  const made = await screen.during("making a Debian machine (once)", (show) =>
    abortable(
      debianMachine((step) => show.now(`making a Debian machine (once): ${step}`)),
      signal,
    ),
  );
  const paths = machinePaths(state.machines, volume, name, toolchain);
  const manifest = (directory: string | undefined) =>
    directory === undefined ? undefined : readFile(manifestPath(directory), "utf8").catch(() => undefined);
  if ((await manifest(currentRevision(paths))) === (await manifest(made))) return true;
  await screen.during("publishing the machine to the farm", async () => {
    const storage = await openStorage(state.machines, state.storage, silentLog());
    const temporary = await newRevisionPath(paths);
    await storage.clone(made, temporary, signal);
    await publishRevision(storage, paths, temporary);
    const current = currentRevisionNumber(paths);
    for (const revision of listRevisions(paths))
      if (revision !== current) await storage.remove(revisionPath(paths, revision));
  });
  return false;
}

/** Where the machine lies, for people. */
export function machineDirectory(state: DemoState): string {
  return join(state.machines, volume, name);
}

/** Gives up waiting when the signal is aborted; what is being done ends with this process. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  return await new Promise<T>((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    work.then(resolve, reject);
  });
}
