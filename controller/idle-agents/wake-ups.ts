/**
 * Wakes agents that wait for builds: no more of them than there are builds that they can take, the one that has waited
 * longest first. Where several controllers share a database, each wakes at most one of its own agents for a build.
 *
 * An agent that was woken counts as one that comes for a build of its queue, until it has asked, has said that it
 * cannot, or has let its time go by; then the next one is woken if the build is still there.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import type { Changes } from "../builds/noting/changes.ts";
import { machineFor, type AnonymousOffer } from "../builds/offer.ts";
import type { BuildQueue, WaitingQueue } from "../builds/queue.ts";

/** So long a woken agent may take until it asks: it looks through its machines first. */
const comesWithinMs = 10_000;
/** Builds that are submitted one after the other are looked at together. */
const collectMs = 2;
/** After a failure of the database. */
const retryMs = 1000;
/** So long what was found is believed while nothing changes; a thousand agents come to wait 40 times a second. */
const believedMs = 5000;

/** How it ended: `full` if there are as many that wait as may be. */
export type WakeUp = "woken" | "nothing" | "full";

/** Who waits. */
export interface WaitingAgent {
  /** Stands for its offer, which it may share with others. */
  token: string;
  /** Tells hosts apart that have the same token. */
  host: string;
}

interface Waiter extends WaitingAgent {
  offer: AnonymousOffer;
  end(how: WakeUp): void;
}

/** One that was woken, and has not asked yet. */
interface Expected extends WaitingAgent {
  queue: string;
  timer: NodeJS.Timeout;
}

export class WakeUps implements AsyncDisposable {
  readonly #queue: Pick<BuildQueue, "waiting" | "openPlaces">;
  readonly #log: Log;
  readonly #mostWaiting: number;
  /** In the order in which they came. */
  readonly #waiters = new Set<Waiter>();
  readonly #expected = new Set<Expected>();
  readonly #held = new DisposableStack();
  readonly #ended = new AbortController();
  readonly #changes: Changes;
  readonly #now: () => number;
  #looking: Promise<void> | undefined;
  #changed = false;
  /** The queues with builds that may be given out, as long as that is so. */
  #found: { queues: readonly WaitingQueue[]; untilMs: number } | undefined;

  constructor(
    queue: Pick<BuildQueue, "waiting" | "openPlaces">,
    changes: Changes,
    log: Log,
    mostWaiting = 10_000,
    now: () => number = () => performance.now(),
  ) {
    this.#queue = queue;
    this.#changes = changes;
    this.#now = now;
    this.#log = log;
    this.#mostWaiting = mostWaiting;
    this.#held.use(changes.subscribe(["state", "pause"], () => this.#lookSoon()));
    this.#held.use(changes.onGap(() => this.#lookSoon()));
  }

  /** How many wait. */
  get count(): number {
    return this.#waiters.size;
  }

  /** Waits until there is a build for the offer, the time is over, or the signal comes. */
  async wait(
    agent: WaitingAgent,
    offer: AnonymousOffer,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<WakeUp> {
    if (this.#waiters.size >= this.#mostWaiting) return "full";
    if (signal.aborted || this.#ended.signal.aborted) return "nothing";
    const ended = Promise.withResolvers<WakeUp>();
    const waiter: Waiter = { ...agent, offer, end: ended.resolve };
    this.#waiters.add(waiter);
    const leave = () => ended.resolve("nothing");
    const timer = setTimeout(leave, waitMs);
    signal.addEventListener("abort", leave, { once: true });
    if (this.mayBeFor(offer)) this.#lookSoon(); // what was submitted between its last question and now
    try {
      return await ended.promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", leave);
      this.#waiters.delete(waiter);
    }
  }

  /** An agent has asked for a task, or says that it will not: it is expected no longer. */
  came({ token, host }: WaitingAgent): void {
    const expected = [...this.#expected].find((one) => one.token === token && one.host === host);
    if (expected) this.#forget(expected);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#held.dispose();
    this.#ended.abort();
    for (const waiter of this.#waiters) waiter.end("nothing");
    for (const { timer } of this.#expected) clearTimeout(timer);
    this.#expected.clear();
    await this.#looking;
  }

  #forget(expected: Expected): void {
    clearTimeout(expected.timer);
    this.#expected.delete(expected);
    this.#lookSoon();
  }

  /**
   * Whether there may be a build for an offer. What says that there is none is some seconds old at most, and no change has been
   * heard of since: whoever is told so and comes to wait is woken for what is not known yet.
   */
  mayBeFor(offer: AnonymousOffer): boolean {
    const found = this.#found;
    if (!found || !this.#changes.complete || this.#now() > found.untilMs) return true;
    return found.queues.some((queue) => machineFor(queue, offer) !== undefined);
  }

  #lookSoon(): void {
    this.#changed = true;
    this.#found = undefined;
    if (this.#waiters.size === 0 || this.#ended.signal.aborted) return;
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
  }

  async #look(): Promise<void> {
    const { signal } = this.#ended;
    while (this.#changed && this.#waiters.size > 0 && !signal.aborted) {
      await sleep(collectMs, undefined, { signal }).catch(() => {});
      this.#changed = false;
      try {
        const queues = await this.#queue.waiting();
        // A change that came meanwhile may not be in it; it is looked for again, unless nobody waits any more.
        if (!this.#changed) this.#found = { queues, untilMs: this.#now() + believedMs };
        for (const queue of queues) await this.#wakeFor(queue);
      } catch (error) {
        this.#log.error(
          { reason: reasonOf(error) },
          "cannot look for builds of waiting agents; trying again",
        );
        this.#changed = true;
        await sleep(retryMs, undefined, { signal }).catch(() => {});
      }
    }
  }

  async #wakeFor(queue: WaitingQueue): Promise<void> {
    const waiting = this.#whoCanTake(queue);
    if (waiting.length === 0) return;
    const expected = [...this.#expected].filter(({ queue: name }) => name === queue.name).length;
    const places = await this.#queue.openPlaces(queue.name, waiting.length + expected);
    // Whoever left meanwhile is passed over.
    const there = waiting.filter((waiter) => this.#waiters.has(waiter));
    for (const waiter of there.slice(0, Math.max(0, places - expected))) this.#wake(waiter, queue.name);
  }

  #whoCanTake(queue: WaitingQueue): Waiter[] {
    const known = new Map<string, boolean>();
    const canTake = ({ token, offer }: Waiter) => {
      const can = known.get(token) ?? machineFor(queue, offer) !== undefined;
      known.set(token, can);
      return can;
    };
    return [...this.#waiters].filter(canTake);
  }

  #wake(waiter: Waiter, queue: string): void {
    this.#waiters.delete(waiter);
    const { token, host } = waiter;
    const timer = setTimeout(() => this.#forget(expected), comesWithinMs);
    const expected: Expected = { token, host, queue, timer };
    this.#expected.add(expected);
    waiter.end("woken");
  }
}
