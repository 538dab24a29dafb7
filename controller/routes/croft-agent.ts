/**
 * What an agent of croft says of itself (`Croft-Agent: VERSION; CAN, CAN`); those of other makes have no such header. Nothing
 * is expected of an agent that it did not say.
 */
import type { FastifyRequest } from "fastify";

/** What an agent may say that it can, and what is done with it. */
export type Ability =
  /** Gives signs of life, by which its builds are leased. */
  | "alive"
  /** Waits until it is woken. */
  | "wake"
  /** Fetches secrets, keeps them in memory, and hands them to the machine. */
  | "secrets"
  /** Gives builds their variables; earlier ones leave out what they do not know of a task. */
  | "variables"
  /** Gets the working tree of a build from the controller, and hands it to the machine. */
  | "trees"
  /** Ends a build when the time is over that its target gives it. */
  | "timeout";

/** Whether an agent is of another make. */
export function isForeign({ headers }: FastifyRequest): boolean {
  return headers["croft-agent"] === undefined;
}

/** Whether an agent says that it can do something. */
export function agentCan(request: FastifyRequest, ability: Ability): boolean {
  const [, abilities = ""] = String(request.headers["croft-agent"] ?? "").split(";", 2);
  return abilities.split(",").some((word) => word.trim() === ability);
}

/** The version of croft that an agent is of; null if it is of another make. */
export function versionOf({ headers }: FastifyRequest): string | null {
  const [version = ""] = String(headers["croft-agent"] ?? "").split(";", 1);
  return /^[\w.+-]{1,40}$/.test(version.trim()) ? version.trim() : null;
}
