/** What an agent of croft says of itself (`Croft-Agent: VERSION; CAN, CAN`); those of other makes have no such header. */
import type { FastifyRequest } from "fastify";

/** Whether an agent is of another make. */
export function isForeign({ headers }: FastifyRequest): boolean {
  return headers["croft-agent"] === undefined;
}

/** Whether an agent says that it can do something. */
export function agentCan(request: FastifyRequest, ability: string): boolean {
  const [, abilities = ""] = String(request.headers["croft-agent"] ?? "").split(";", 2);
  return abilities.split(",").some((word) => word.trim() === ability);
}
