import type { FastifyReply } from "fastify";
import type { Controller } from "../controller.ts";

/** What all routes have at hand. */
export interface Served {
  readonly controller: Controller;
  /** Where this controller is reached, without a slash at the end; known once it listens. */
  publicUrl(): string;
}

/** Answers with an error, in words. */
export function refuse(reply: FastifyReply, status: number, reason: string, hints: readonly string[] = []) {
  return reply.code(status).type("application/json; charset=utf-8").send({ error: reason, hints });
}
