/**
 * Signs of life for controllers that want them (`Croft-Alive-URL`): for every session, from when its task was received until
 * its result was accepted or given up. One request to a controller carries all sessions that it has given; it is answered
 * after a while, or at once when nobody waits for the result of one any more.
 *
 * A request that is on its way is given up for another one when there is something new to tell, so that the controller can
 * always answer for all sessions.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { ManifestError } from "../../manifests/error.ts";
import { formatSigns, parseEndedSessions, type SessionPhase } from "../../manifests/own/signs.ts";
import { Failure, reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { withoutSecrets } from "../../os/network/url.ts";
import type { HttpClient } from "../wire/http.ts";
import { longPoll } from "../wire/long-poll.ts";
import { Cancelled, type Interruption } from "./interruption.ts";

/** How long the controller may keep a sign before it answers. */
const waitSeconds = 15;
/** No request has more sessions: controllers take no longer ones. The newest go first. */
const mostSessions = 500;
/** Between signs that were answered at once, or not at all. */
const pauseMs = 5000;

/** Which session, and where signs of it go: an assignment, for instance. */
export interface SignedSession {
  session: string;
  /** Absent: its controller wants no signs. */
  aliveUrl?: string | undefined;
}

interface Shown {
  url: string;
  phase: SessionPhase;
  over: AbortController;
}

export class SignsOfLife implements AsyncDisposable {
  readonly #client: Pick<HttpClient, "ask">;
  readonly #log: Log;
  readonly #shown = new Map<string, Shown>();
  /** By URL: the loop that gives signs there, and how it is told that they have changed. */
  readonly #loops = new Map<string, { change: () => void; done: Promise<void> }>();
  readonly #stop = new AbortController();

  constructor(client: Pick<HttpClient, "ask">, log: Log) {
    this.#client = client;
    this.#log = log;
  }

  /**
   * Shows from now on what is done about a session.
   *
   * @returns aborted with {@link Cancelled} when nobody waits for its result any more; undefined if nobody wants signs.
   */
  show({ session, aliveUrl: url }: SignedSession, phase: SessionPhase): AbortSignal | undefined {
    if (url === undefined || this.#stop.signal.aborted) return undefined;
    const shown = this.#shown.get(session);
    if (shown?.phase === phase) return shown.over.signal;
    const over = shown?.over ?? new AbortController();
    this.#shown.set(session, { url, phase, over });
    const loop = this.#loops.get(url);
    if (loop) loop.change();
    else this.#start(url);
    return over.signal;
  }

  /** The controller has taken the result of a session, or it was given up. */
  end(session: string): void {
    const shown = this.#shown.get(session);
    if (!shown) return;
    this.#shown.delete(session);
    this.#loops.get(shown.url)?.change();
  }

  /** Ends all of them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all([...this.#loops.values()].map(({ done }) => done));
  }

  #start(url: string): void {
    let changed = new AbortController();
    const next = () => {
      changed = new AbortController();
      return changed.signal;
    };
    this.#loops.set(url, { change: () => changed.abort(), done: this.#run(url, next) });
  }

  async #run(url: string, nextChange: () => AbortSignal): Promise<void> {
    await Promise.resolve(); // sessions that begin together go together
    for (;;) {
      const signal = AbortSignal.any([nextChange(), this.#stop.signal]);
      const signs = this.#signsFor(url);
      if (signs.length === 0 || this.#stop.signal.aborted) return void this.#loops.delete(url);
      const began = performance.now();
      try {
        const request = { body: formatSigns(signs), signal };
        const { status, body } = await longPoll(this.#client, "POST", url, waitSeconds, request);
        if (status === 200) for (const one of parseEndedSessions(body, { lenient: true })) this.#over(one);
      } catch (error) {
        if (signal.aborted) continue;
        if (!(error instanceof Failure || error instanceof ManifestError)) throw error;
        this.#log.debug(
          { url: withoutSecrets(url), reason: reasonOf(error) },
          "sign of life not delivered, trying again",
        );
      }
      if (performance.now() - began < pauseMs) await sleep(pauseMs, undefined, { signal }).catch(() => {});
    }
  }

  #signsFor(url: string) {
    const signs = [...this.#shown].flatMap(([session, { url: its, phase, over }]) =>
      its === url && !over.signal.aborted ? [{ session, phase }] : [],
    );
    return signs.slice(-mostSessions);
  }

  #over({ session, state }: { session: string; state: string }): void {
    this.#log.debug({ session, state }, "nobody waits for the result any more");
    this.#shown.get(session)?.over.abort(new Cancelled("nobody waits for its result any more"));
  }
}

/**
 * An interruption that the end of the session brings about, too, as long as the task may be interrupted.
 *
 * @param decided called when it may not be any more
 */
export function orWhenOver(
  interruption: Interruption,
  over: AbortSignal | undefined,
  decided: () => void,
): Interruption {
  if (!over) return interruption;
  const ended = new AbortController();
  const end = () => ended.abort(over.reason);
  if (over.aborted) end();
  over.addEventListener("abort", end, { once: true });
  let mayEnd = true;
  return {
    signal: AbortSignal.any([interruption.signal, ended.signal]),
    [Symbol.dispose]: () => {
      over.removeEventListener("abort", end);
      interruption[Symbol.dispose]();
      if (mayEnd) decided();
      mayEnd = false;
    },
  };
}
