/** Where agents show that they perform a task (`Croft-Alive-URL`), and learn that nobody waits for its result any more. */
import type { FastifyInstance } from "fastify";
import { ChangeWaiter } from "../builds/changes.ts";
import { isCurrent } from "../builds/session.ts";
import { forCurrentSession } from "./access.ts";
import { waitOf } from "./long-poll.ts";
import { refuse, type Served } from "./served.ts";

const longestWaitSeconds = 15;

/** Adds the route. */
export function addAliveRoute(server: FastifyInstance, { controller }: Served): void {
  const options = { onRequest: forCurrentSession(controller) };
  server.post<{ Params: { session: string } }>("/agent/alive/:session", options, async (request, reply) => {
    const { token, build } = request.currentSession!;
    const { milliseconds, signal } = waitOf(request, reply, longestWaitSeconds);
    const deadline = performance.now() + milliseconds;
    using changes = new ChangeWaiter(controller.changes, ["state"], build);
    for (;;) {
      changes.take();
      const session = await controller.sessions.find(token);
      if (!session || !isCurrent(session)) return refuse(reply, 410, "the session is over");
      const leftMs = deadline - performance.now();
      if (leftMs <= 0 || signal.aborted) return reply.code(204).send();
      await changes.wait(leftMs, signal);
    }
  });
}
