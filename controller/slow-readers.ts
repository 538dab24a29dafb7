/**
 * Those who ask and do not take the answer. What is sent to them waits in this process, so it is bounded for all of them
 * together: who has taken nothing for longest goes, and who reads is served, however many do not.
 */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

/** For all answers; a page has half a MiB, and several times that of memory until it is sent. */
const mostWaitingBytes = 64 << 20;
const lookMs = 1000;
/**
 * Requests that are sent one after the other without waiting for answers (HTTP's pipelining) are handled beside each other.
 * Neither browsers nor proxies do so; a thousand of them fit into a packet or two, and a thousand pages into no memory.
 */
const mostUnanswered = 16;

/** How far an answer has come; one that others of its connection stand before has come nowhere. */
interface Progress {
  readonly socket: Socket;
  taken: number;
  since: number;
}

/** The answers of a server that are not over yet. */
class OpenAnswers {
  readonly #open = new Map<ServerResponse, Progress>();
  readonly #mostBytes: number;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  add(answer: ServerResponse, socket: Socket): void {
    this.#open.set(answer, { socket, taken: 0, since: performance.now() });
    answer.once("close", () => this.#open.delete(answer));
  }

  /** Cuts off those that have stood still for longest, until what waits is little enough. */
  look(): void {
    const waiting: { socket: Socket; bytes: number; since: number }[] = [];
    let all = 0;
    for (const [answer, progress] of this.#open) {
      const bytes = answer.writableLength;
      const taken = progress.socket.bytesWritten - bytes;
      if (taken !== progress.taken) Object.assign(progress, { taken, since: performance.now() });
      all += bytes;
      if (bytes > 0) waiting.push({ socket: progress.socket, bytes, since: progress.since });
    }
    if (all <= this.#mostBytes) return;
    for (const { socket, bytes } of waiting.sort((one, other) => one.since - other.since)) {
      socket.destroy();
      all -= bytes;
      if (all <= this.#mostBytes) return;
    }
  }
}

/** Bounds for all routes of a server; to be added before other hooks. */
export function boundSlowReaders(server: FastifyInstance, mostBytes = mostWaitingBytes): void {
  const answers = new OpenAnswers(mostBytes);
  const unanswered = new WeakMap<object, number>();
  server.addHook("onRequest", async ({ raw: { socket } }: FastifyRequest, reply: FastifyReply) => {
    const count = (unanswered.get(socket) ?? 0) + 1;
    unanswered.set(socket, count);
    if (count > mostUnanswered) {
      socket.destroy();
      return reply.hijack(); // or it would be looked up and written for nobody
    }
    reply.raw.once("close", () => unanswered.set(socket, unanswered.get(socket)! - 1));
    answers.add(reply.raw, socket);
  });
  const timer = setInterval(() => answers.look(), lookMs).unref();
  server.addHook("onClose", async () => clearInterval(timer));
}
