/**
 * Waiting at controllers that wake whom they have something for: while the agent sleeps, it keeps a request open to each
 * controller that had no task and gave a `Croft-Wake-URL`. Others are asked from time to time, as ever.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Backoff } from "../../os/backoff.ts";
import { Failure, reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { withoutSecrets } from "../../os/network/url.ts";
import { Rejection } from "../wire/answers.ts";
import type { HttpClient } from "../wire/http.ts";
import { longPoll } from "../wire/long-poll.ts";

/** Shorter than the 50 and 60 s after which usual proxies give up. */
const waitSeconds = 45;
/** A connection that ends sooner did not end because of a limit of time. */
const soonSeconds = 10;
/** A controller that could not be waited at may be back at once (a restart, a new proxy): tried 1, 2, 4, … s later. */
const longestRetrySeconds = 30;
const declineSeconds = 10;
/** After so many wake-ups within a minute that came to nothing, the agent sleeps a while before it waits again. */
const vainWakeUps = 3;
const vainWithinMs = 60_000;
/** An offer that a controller does not know is made anew within so many seconds: all agents learn it at once. */
const anewWithinSeconds = 10;

export class WakeUps {
  readonly #client: Pick<HttpClient, "ask">;
  readonly #log: Log;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #sleep: typeof sleepUntilAborted;
  readonly #failures: Backoff<string>;
  /** Where to wait, by the controller's URL; of this round. */
  readonly #urls = new Map<string, string>();
  /** The controller that has woken this agent, and has not been asked since. */
  #woken: { controller: string; url: string } | undefined;
  /** Whether this round was brought about by a controller. */
  #isWoken = false;
  #wokenMs: number | undefined;
  /** When wake-ups came to nothing. */
  #vain: number[] = [];

  /** @param now milliseconds of a clock that never goes back */
  constructor(parts: {
    client: Pick<HttpClient, "ask">;
    log: Log;
    now?: () => number;
    random?: () => number;
    /** Before a controller is tried again. */
    sleep?: typeof sleepUntilAborted;
  }) {
    this.#client = parts.client;
    this.#log = parts.log;
    this.#now = parts.now ?? (() => performance.now());
    this.#random = parts.random ?? Math.random;
    this.#sleep = parts.sleep ?? sleepUntilAborted;
    this.#failures = new Backoff(longestRetrySeconds, this.#now, 1, this.#random);
  }

  /** A round begins: whatever controllers told before is over. */
  begin(): void {
    this.#urls.clear();
  }

  /** When the agent was woken for what it does now; undefined if nobody has. */
  get wokenMs(): number | undefined {
    return this.#wokenMs;
  }

  /** A controller is asked for a task. */
  asked(controller: string): void {
    if (this.#woken?.controller === controller) this.#woken = undefined;
  }

  /** A controller that had no task wakes whoever waits at this URL. */
  told(controller: string, url: string): void {
    this.#urls.set(controller, url);
  }

  /**
   * The machines have been looked through, and the controllers asked. One that has woken this agent and was not asked
   * is told so: its build is for another one.
   *
   * @param worked whether there is something to do
   */
  settle(worked: boolean): void {
    const [woken, isWoken] = [this.#woken, this.#isWoken];
    [this.#woken, this.#isWoken, this.#wokenMs] = [undefined, false, undefined];
    if (woken) void this.#decline(woken.url);
    if (!isWoken) return;
    if (worked) this.#vain = [];
    else this.#vain.push(this.#now());
  }

  /** Waits until a controller has something, so many seconds have gone by, or the signal comes. */
  async wait(seconds: number, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const all = AbortSignal.any([signal, over.signal]);
    const pauseSeconds = Math.min(this.#pauseSeconds(), seconds);
    if (pauseSeconds > 0) await sleepUntilAborted(pauseSeconds, all);
    if (pauseSeconds >= seconds) return;
    const timer = sleepUntilAborted(seconds - pauseSeconds, all);
    const waits = [...this.#urls].map(([controller, url]) => this.#waitAt(controller, url, all));
    await Promise.race([timer, ...waits]);
    over.abort();
    await Promise.all(waits); // no connection stays open
  }

  /** Ends when the controller has something, or does not know the offer; else never before the signal comes. */
  async #waitAt(controller: string, url: string, signal: AbortSignal): Promise<void> {
    const log = this.#log.child({ url: withoutSecrets(controller) });
    while (!signal.aborted) {
      const began = this.#now();
      try {
        const { status } = await longPoll(this.#client, "GET", url, waitSeconds, { signal });
        if (status !== 204) {
          if (signal.aborted) return;
          this.#woken = { controller, url };
          this.#isWoken = true;
          this.#wokenMs = this.#now();
          return void log.debug("woken");
        }
        if (this.#now() - began < 1000) throw new Failure("wait", "the controller answers at once");
        this.#failures.succeeded(controller);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Failure)) throw error;
        if (error instanceof Rejection && error.status === 410)
          return await this.#sleep(this.#random() * anewWithinSeconds, signal);
        if (!(error instanceof Rejection) && this.#now() - began >= soonSeconds * 1000) {
          this.#failures.succeeded(controller);
          continue;
        }
        const seconds = this.#failures.failed(controller);
        log.debug({ reason: reasonOf(error), seconds }, "cannot wait at the controller; it is tried again");
        await this.#sleep(seconds, signal);
      }
    }
  }

  async #decline(url: string): Promise<void> {
    try {
      await this.#client.ask("DELETE", url, { timeoutSeconds: declineSeconds });
    } catch (error) {
      this.#log.debug(
        { reason: reasonOf(error) },
        "cannot tell the controller that its build is for another",
      );
    }
  }

  #pauseSeconds(): number {
    const now = this.#now();
    this.#vain = this.#vain.filter((at) => now - at < vainWithinMs);
    const excess = this.#vain.length - vainWakeUps;
    return excess > 0 ? Math.min(2 ** (excess - 1), vainWithinMs / 1000) : 0;
  }
}

async function sleepUntilAborted(seconds: number, signal: AbortSignal): Promise<void> {
  await sleep(seconds * 1000, undefined, { signal }).catch(() => {});
}
