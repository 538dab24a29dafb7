/** Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
import { once } from "node:events";
import type { FastifyReply } from "fastify";

/** One client's stream. */
export class EventStream {
  readonly #reply: FastifyReply;
  readonly #ended = new AbortController();

  constructor(reply: FastifyReply) {
    this.#reply = reply;
    reply.hijack();
    reply.raw.on("close", () => this.#ended.abort());
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

  end(): void {
    this.#reply.raw.end();
  }

  async #write(text: string): Promise<void> {
    if (this.signal.aborted || this.#reply.raw.write(text)) return;
    await once(this.#reply.raw, "drain", { signal: this.signal }).catch(() => {});
  }
}
