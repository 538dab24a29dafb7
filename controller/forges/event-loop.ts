/** The loop that reads the files of events, queues what has waited for other builds, and what is built by the clock. */
import { reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { ChangeWaiter } from "../builds/changes.ts";
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
  const ended = new AbortController();
  const loop = work(controller, log, ended.signal);
  return {
    [Symbol.asyncDispose]: async () => {
      ended.abort();
      await loop;
    },
  };
}

async function work(controller: Controller, log: Log, signal: AbortSignal): Promise<void> {
  const { configuration, database, builds, changes, forgeEvents, laterBuilds } = controller;
  const { repositories, gitProtocols: protocols } = configuration;
  const reading = new SourceReading({ database, builds, repositories, protocols, log });
  using waiter = new ChangeWaiter(changes, ["state"]);
  let nudged = Promise.withResolvers<void>();
  using _listener = forgeEvents.onToRead(() => nudged.resolve());
  let lookAtAll = true;
  while (!signal.aborted) {
    let pauseMs = longestPauseMs;
    nudged = Promise.withResolvers();
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
    using cut = new AbortOnEither(signal, nudged.promise);
    lookAtAll = !(await waiter.wait(pauseMs, cut.signal));
  }
}

async function advance(later: LaterBuilds, changed: readonly number[], all: boolean): Promise<void> {
  if (all) await later.lookAtAll();
  else await later.afterBuilds(changed);
}

/** A signal that comes with another one, or when something happens. */
class AbortOnEither implements Disposable {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #abort = () => this.#controller.abort();

  constructor(outer: AbortSignal, happening: Promise<void>) {
    this.#outer = outer;
    outer.addEventListener("abort", this.#abort, { once: true });
    if (outer.aborted) this.#abort();
    void happening.then(this.#abort);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    this.#outer.removeEventListener("abort", this.#abort);
  }
}
