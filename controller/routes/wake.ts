/** Where agents that have nothing to do wait until there is something (`Croft-Wake-URL`). */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { refuse, type Served } from "./served.ts";

/** Shorter than the 50 and 60 s after which usual proxies give up. */
const usualWaitSeconds = 45;
const retryAfterSeconds = 30;

interface WakeRoute {
  Params: { token: string };
}

/** Adds the routes of waiting agents. */
export function addWakeRoutes(server: FastifyInstance, { controller }: Served): void {
  const { offers, wakeUps } = controller;
  server.get<WakeRoute>("/agent/wake/:token", { exposeHeadRoute: false }, async (request, reply) => {
    const { token } = request.params;
    const offer = await offers.find(token);
    if (!offer) return refuseToken(reply);
    const seconds = waitSeconds(request);
    const left = new AbortController();
    reply.raw.once("close", () => left.abort());
    reply.header("Cache-Control", "no-store").header("Preference-Applied", `wait=${seconds}`);
    const how = await wakeUps.wait(token, offer, seconds * 1000, left.signal);
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
    wakeUps.came(token);
    return reply.code(204).send();
  });
}

function refuseToken(reply: FastifyReply) {
  return refuse(reply, 410, "this offer is not known, or not any more: ask for a task");
}

/** What the client would wait (RFC 7240, 4.3), if that is not too long. */
function waitSeconds(request: FastifyRequest): number {
  const [, seconds] =
    /(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})"?/i.exec(String(request.headers["prefer"] ?? "")) ?? [];
  return Math.min(seconds === undefined ? usualWaitSeconds : Number(seconds), usualWaitSeconds);
}

/** Whether an agent says of itself that it can do something: `Croft-Agent: VERSION; CAN, CAN`. */
export function agentCan(request: FastifyRequest, ability: string): boolean {
  const [, abilities = ""] = String(request.headers["croft-agent"] ?? "").split(";", 2);
  return abilities.split(",").some((word) => word.trim() === ability);
}
