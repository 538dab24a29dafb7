/** Where agents that have nothing to do wait until there is something (`Croft-Wake-URL`). */
import type { FastifyInstance, FastifyReply } from "fastify";
import { waitOf } from "./long-poll.ts";
import { refuse, type Served } from "./served.ts";

/** Shorter than the 50 and 60 s after which usual proxies give up. */
const longestWaitSeconds = 45;
const retryAfterSeconds = 30;
const longestHost = 64;

interface WakeRoute {
  Params: { token: string };
  /** As it stood in the URL that the agent was given; hosts that offer the same have the same token. */
  Querystring: { host?: string };
}

/** Adds the routes of waiting agents. */
export function addWakeRoutes(server: FastifyInstance, { controller }: Served): void {
  const { offers, wakeUps } = controller;
  server.get<WakeRoute>("/agent/wake/:token", { exposeHeadRoute: false }, async (request, reply) => {
    const { token } = request.params;
    const offer = await offers.find(token);
    if (!offer) return refuseToken(reply);
    const { milliseconds, signal } = waitOf(request, reply, longestWaitSeconds);
    const how = await wakeUps.wait({ token, host: hostIn(request.query) }, offer, milliseconds, signal);
    if (how === "full")
      return refuse(
        reply.header("Retry-After", String(retryAfterSeconds)),
        503,
        `${wakeUps.count} agents wait here, and that is all it takes`,
      );
    return how === "woken" ? reply.type("text/plain").send("ask for a task\n") : reply.code(204).send();
  });
  server.delete<WakeRoute>("/agent/wake/:token", async (request, reply) => {
    const { token } = request.params;
    if (!(await offers.find(token))) return refuseToken(reply);
    wakeUps.came({ token, host: hostIn(request.query) });
    return reply.code(204).send();
  });
}

function hostIn({ host }: WakeRoute["Querystring"]): string {
  return typeof host === "string" ? host.slice(0, longestHost) : "";
}

function refuseToken(reply: FastifyReply) {
  return refuse(reply, 410, "this offer is not known, or not any more: ask for a task");
}
