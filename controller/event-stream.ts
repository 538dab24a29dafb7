/** Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
import { once } from "node:events";
import type { FastifyReply } from "fastify";
import { reasonOf } from "../os/failure.ts";
import type { Log } from "../os/log.ts";

/** Whoever takes nothing for so long is cut off; the browser comes back with the last event's id. */
const longestStallMs = 60_000;

/** One client's stream; disposing of it ends the response. */
export class EventStream implements Disposable {
  readonly #reply: FastifyReply;
  readonly #ended = new AbortController();
  readonly #longestStallMs: number;

  constructor(reply: FastifyReply, stallMs = longestStallMs) {
    this.#reply = reply;
    this.#longestStallMs = stallMs;
    reply.hijack();
    reply.raw.on("close", () => this.#ended.abort());
    // Whoever left while the request was looked into gives no sign any more.
    if (reply.raw.destroyed || reply.raw.closed) this.#ended.abort();
    reply.raw.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    });
    reply.raw.write("retry: 1000\n\n");
  }

  /** Aborted when the client is gone or the server stops. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** Sends an event; waits while the client reads too slowly. */
  async send(event: string, data: unknown, id?: string): Promise<void> {
    const head = id === undefined ? "" : `id: ${id}\n`;
    await this.#write(`${head}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  /** Shows both ends that the connection still stands. */
  async ping(): Promise<void> {
    await this.#write(":\n\n");
  }

  [Symbol.dispose](): void {
    this.#reply.raw.end();
  }

  async #write(text: string): Promise<void> {
    if (this.signal.aborted || this.#reply.raw.write(text)) return;
    const stalled = AbortSignal.timeout(this.#longestStallMs);
    const signal = AbortSignal.any([this.signal, stalled]);
    await once(this.#reply.raw, "drain", { signal }).catch(() => {});
    if (stalled.aborted) this.#reply.raw.destroy();
  }
}

/** Answers with a stream of events that ends when `work` does; a failure ends it too, and the client asks again. */
export async function answerWithEvents(
  reply: FastifyReply,
  log: Log,
  work: (stream: EventStream) => Promise<void>,
): Promise<void> {
  using stream = new EventStream(reply);
  try {
    await work(stream);
  } catch (error) {
    log.error({ reason: reasonOf(error) }, "a stream of events broke off");
  }
}
