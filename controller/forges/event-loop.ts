/** The loop that reads the files of events, queues what has waited for other builds, and what is built by the clock. */
import { reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { startLoop } from "../../os/loop.ts";
import { ChangeWaiter } from "../builds/noting/changes.ts";
import type { Controller } from "../controller.ts";
import type { LaterBuilds } from "./later-builds.ts";
import { nextSchedule, runDue } from "./schedules.ts";
import { SourceReading } from "./source-reading.ts";

/** Looked at so often, whatever was heard. */
const longestPauseMs = 60_000;
const shortestPauseMs = 100;

/** Starts the loop, if any repository is configured; disposing of it ends and joins it. */
export function startEventLoop(controller: Controller): AsyncDisposable {
  const { configuration, log } = controller;
  if (configuration.repositories.length === 0) return { [Symbol.asyncDispose]: async () => {} };
  return startLoop((signal) => work(controller, log, signal));
}

async function work(controller: Controller, log: Log, signal: AbortSignal): Promise<void> {
  const { configuration, database, builds, vault, changes, forgeEvents, laterBuilds } = controller;
  const { repositories, gitProtocols: protocols } = configuration;
  const reading = new SourceReading({ database, builds, vault, repositories, protocols, log });
  using waiter = new ChangeWaiter(changes, ["state"]);
  let nudged = new AbortController();
  using _listener = forgeEvents.onToRead(() => nudged.abort());
  let lookAtAll = true;
  while (!signal.aborted) {
    let pauseMs = longestPauseMs;
    nudged = new AbortController();
    try {
      await advance(laterBuilds, waiter.take(), lookAtAll);
      while (await runDue(database, repositories));
      while (await reading.readDue(signal));
      const next = [await reading.nextSeconds(), await nextSchedule(database)];
      for (const seconds of next)
        if (seconds !== undefined) pauseMs = Math.min(pauseMs, Math.max(shortestPauseMs, seconds * 1000));
    } catch (error) {
      log.error({ reason: reasonOf(error) }, "cannot look after what forges told of; trying again");
    }
    lookAtAll = !(await waiter.wait(pauseMs, AbortSignal.any([signal, nudged.signal])));
  }
}

async function advance(later: LaterBuilds, changed: readonly number[], all: boolean): Promise<void> {
  if (all) await later.lookAtAll();
  else await later.afterBuilds(changed);
}
