/**
 * A reader of a build who comes back whenever the connection breaks, with the id of the last event, as browsers do. What comes
 * twice, or out of its place, is an error.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { readEvents, type ServerEvent } from "../../../controller/client/event-reader.ts";

const pauseMs = 100;

export class Reader {
  /** What came of each attempt's live log, by the attempt's number. */
  readonly logs = new Map<number, string>();
  /** How often the connection broke. */
  breaks = 0;
  /** Of the build, once it has ended. */
  status: string | null = null;
  /** Settled when the build has ended. */
  readonly done: Promise<void>;
  readonly #url: string;
  readonly #signal: AbortSignal;
  #lastId = "";

  constructor(url: string, build: number, signal: AbortSignal) {
    this.#url = `${url}/api/v1/builds/${build}/events`;
    this.#signal = signal;
    this.done = this.#follow();
    this.done.catch(() => {}); // seen by who waits for it
  }

  async #follow(): Promise<void> {
    while (!this.#signal.aborted) {
      try {
        if (await this.#readOnce()) return;
      } catch (error) {
        if (error instanceof WrongEvent) throw error;
      }
      this.breaks++;
      await sleep(pauseMs, undefined, { signal: this.#signal });
    }
  }

  /** @returns whether the build has ended. */
  async #readOnce(): Promise<boolean> {
    const headers: Record<string, string> = this.#lastId === "" ? {} : { "last-event-id": this.#lastId };
    const answer = await fetch(this.#url, { headers, signal: this.#signal });
    if (answer.status !== 200) {
      await answer.body?.cancel();
      return false;
    }
    for await (const event of readEvents(answer.body!)) {
      this.#lastId = event.id || this.#lastId;
      if (this.#take(event)) return true;
    }
    return false;
  }

  #take({ event, data }: ServerEvent): boolean {
    if (event === "log") {
      const { attempt, offset, text } = JSON.parse(data) as { attempt: number; offset: number; text: string };
      const had = this.logs.get(attempt) ?? "";
      if (Buffer.byteLength(had) !== offset)
        throw new WrongEvent(`byte ${offset} after ${Buffer.byteLength(had)} bytes of attempt ${attempt}`);
      this.logs.set(attempt, had + text);
    }
    if (event !== "end") return false;
    ({ status: this.status } = JSON.parse(data) as { status: string | null });
    return true;
  }
}

class WrongEvent extends Error {}
