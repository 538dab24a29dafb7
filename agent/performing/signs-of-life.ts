/**
 * Signs of life for a controller that wants them (`Croft-Alive-URL`) while a task is performed; each is answered after
 * a while, or at once if nobody waits for the result any more.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Failure, reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { Cancelled, type Interruption } from "../task-state/interruption.ts";
import { Rejection } from "../wire/answers.ts";
import type { HttpClient } from "../wire/http.ts";
import { longPoll } from "../wire/long-poll.ts";

/** How long the controller may keep a sign before it answers. */
const waitSeconds = 15;
/** Between signs that were answered at once, or not at all. */
const pauseMs = 5000;

export class SignsOfLife implements AsyncDisposable {
  readonly #client: Pick<HttpClient, "ask">;
  readonly #url: string;
  readonly #log: Log;
  readonly #over = new AbortController();
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(client: Pick<HttpClient, "ask">, url: string, log: Log) {
    this.#client = client;
    this.#url = url;
    this.#log = log;
    this.#done = this.#run();
  }

  /** Aborted with {@link Cancelled} when nobody waits for the result any more. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Ends them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const began = performance.now();
      try {
        await longPoll(this.#client, "POST", this.#url, waitSeconds, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Failure)) throw error;
        if (error instanceof Rejection) return this.#refused(error);
        this.#log.debug({ reason: reasonOf(error) }, "sign of life not delivered, trying again");
      }
      if (performance.now() - began < pauseMs) await sleep(pauseMs, undefined, { signal }).catch(() => {});
    }
  }

  #refused(refusal: Rejection): void {
    if (refusal.status === 410) this.#over.abort(new Cancelled("nobody waits for its result any more"));
    else this.#log.debug({ reason: refusal.message }, "signs of life refused by the controller");
  }
}

/** An interruption that the end of the session brings about, too, as long as the task may be interrupted. */
export function orWhenOver(interruption: Interruption, signs: SignsOfLife | undefined): Interruption {
  if (!signs) return interruption;
  const over = new AbortController();
  const end = () => over.abort(signs.over.reason);
  if (signs.over.aborted) end();
  signs.over.addEventListener("abort", end, { once: true });
  return {
    signal: AbortSignal.any([interruption.signal, over.signal]),
    [Symbol.dispose]: () => {
      signs.over.removeEventListener("abort", end);
      interruption[Symbol.dispose]();
    },
  };
}
