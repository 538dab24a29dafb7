/** A controller on a real socket that answers as a test wants: well, badly, or not at all. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { EventEmitter, once } from "node:events";
import { patienceSeconds } from "../fixtures/patience.ts";

/** What it was sent. */
export interface Received {
  path: string;
  headers: IncomingMessage["headers"];
  body: Buffer;
}

/** What it answers; a body is a manifest or plain text, unless the headers say another. */
export interface Reply {
  status?: number;
  headers?: Record<string, string>;
  body?: string | Buffer;
  /** Close the connection instead. */
  hangUp?: boolean;
}

export class FakeController implements AsyncDisposable {
  readonly received: Received[] = [];
  readonly #events = new EventEmitter();
  readonly #server;
  /** Called for each request; the default has no task, and accepts everything else. */
  answer: (request: Received) => Reply | Promise<Reply> = ({ path }) =>
    path.startsWith("/task") ? { body: ": 1\nsession:\n" } : { status: 204 };

  private constructor() {
    this.#server = createServer((request, response) => {
      void buffer(request)
        .then(async (body) => {
          const received = { path: request.url ?? "", headers: request.headers, body };
          const reply = await this.answer(received);
          this.received.push(received);
          this.#events.emit("request");
          if (reply.hangUp) return void response.destroy();
          const { status = 200, body: answer = "" } = reply;
          const type = status < 300 ? "text/manifest" : "text/plain";
          const own: Record<string, string> = answer.length > 0 ? { "content-type": type } : {};
          response.writeHead(status, { ...own, ...reply.headers }).end(answer);
        })
        .catch(() => response.destroy());
    });
  }

  /** @param port for one that takes another's place; by default a free one. */
  static async start(port = 0): Promise<FakeController> {
    const controller = new FakeController();
    await new Promise<void>((resolve, reject) => {
      controller.#server.once("error", reject).listen(port, "127.0.0.1", resolve);
    });
    return controller;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  /** Waits until as many requests of the path have been answered. */
  async requests(path: string, count: number, timeoutSeconds = patienceSeconds): Promise<Received[]> {
    const signal = AbortSignal.timeout(timeoutSeconds * 1000);
    for (;;) {
      const found = this.received.filter((request) => request.path.startsWith(path));
      if (found.length >= count) return found;
      await once(this.#events, "request", { signal });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}
