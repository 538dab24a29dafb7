/** The demo's build machine: a Debian, made once for tests and demo, and kept in the demo's own file system. */
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { silentLog } from "../../os/log.ts";
import { currentRevision, machinePaths, manifestPath, revisionPath } from "../../machines/layout.ts";
import { listRevisions, newRevisionPath, publishRevision } from "../../machines/revisions.ts";
import { openStorage } from "../../machines/open-storage.ts";
import { debianMachine } from "../fixtures/machines/images.ts";
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
    cutShort(
      debianMachine((step) => show.now(`making a Debian machine (once): ${step}`), signal),
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
    for (const revision of listRevisions(paths))
      if (revisionPath(paths, revision) !== currentRevision(paths))
        await storage.remove(revisionPath(paths, revision));
  });
  return false;
}

/** Waits for work that is aborted only as long as it may take to clean up: it may be waiting for another process. */
async function cutShort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = new Promise<never>((_, reject) => {
    const late = () => void delay(5000).then(() => reject(signal.reason as Error));
    signal.addEventListener("abort", late, { once: true });
  });
  return await Promise.race([work, aborted]);
}
