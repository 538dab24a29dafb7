import type { FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from "fastify";
import { maskCredentials } from "../../os/text/credentials.ts";
import type { Controller } from "../controller.ts";

/** What all routes have at hand. */
export interface Served {
  readonly controller: Controller;
  /**
   * Where this controller is reached, without a slash at the end; known once it listens. Where neither the
   * configuration nor the address it listens on tells, it is where the request came to.
   */
  publicUrl(request?: FastifyRequest): string;
  /**
   * What an agent may have called to reach this request, as its proof says: below `public-url`, or else where this
   * controller listens. Never what the `Host` header says, or a proof made for another controller would do here.
   */
  proofUrls(request: FastifyRequest): string[];
  /** Hooks for streams of events: they are counted together, and end when who follows may not any more. */
  readonly following: readonly onRequestAsyncHookHandler[];
}

/** Whether a person at a browser asks, who wants a page, and no program. */
export function asksForPage({ headers }: FastifyRequest): boolean {
  return /\btext\/html\b/.test(headers.accept ?? "");
}

/** Answers with an error, in words. */
export function refuse(reply: FastifyReply, status: number, reason: string, hints: readonly string[] = []) {
  return reply
    .code(status)
    .type("application/json; charset=utf-8")
    .send({ error: maskCredentials(reason), hints: hints.map(maskCredentials) });
}
