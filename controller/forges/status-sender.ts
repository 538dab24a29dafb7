/** The loop that tells forges what becomes of their commits. */
import { reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { startLoop } from "../../os/loop.ts";
import { ChangeWaiter, type Changes } from "../builds/noting/changes.ts";
import type { Controller } from "../controller.ts";
import { CommitStatuses } from "./commit-statuses.ts";

/** Looked at so often, whatever was heard. */
const longestPauseMs = 60_000;
const shortestPauseMs = 100;

/**
 * Starts the loop, if any repository has a token; disposing of it ends and joins it.
 *
 * @param url where the controller listens, without a slash at the end.
 */
export function startStatusSender(controller: Controller, url: string): AsyncDisposable {
  const { configuration, database, changes, log } = controller;
  const { repositories, publicUrl } = configuration;
  if (!repositories.some(({ statuses }) => statuses)) return { [Symbol.asyncDispose]: async () => {} };
  const statuses = new CommitStatuses(database, repositories, publicUrl ?? url, log);
  return startLoop((signal) => send(statuses, changes, log, signal));
}

async function send(
  statuses: CommitStatuses,
  changes: Changes,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  using waiter = new ChangeWaiter(changes, ["state"]);
  while (!signal.aborted) {
    let pauseMs = longestPauseMs;
    try {
      for (const build of waiter.take()) await statuses.note(build);
      while (await statuses.sendDue(signal));
      const seconds = await statuses.nextSeconds();
      if (seconds !== undefined) pauseMs = Math.min(pauseMs, Math.max(shortestPauseMs, seconds * 1000));
    } catch (error) {
      log.error({ reason: reasonOf(error) }, "cannot look after what forges are told; trying again");
    }
    await waiter.wait(pauseMs, signal);
  }
}
