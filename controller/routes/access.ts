/** Who may read and who may change. */
import type { FastifyReply, FastifyRequest } from "fastify";
import { tokenName } from "../authentication/tokens.ts";
import { refuse, type Served } from "./served.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Name of the token of a request that may change something. */
    submitter?: string | null;
  }
}

/** A hook for what only reads: open, unless the controller is private. */
export function mayRead({ controller: { configuration } }: Served) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    if (!configuration.private) return;
    if (tokenName(configuration.tokens, request.headers.authorization) !== undefined) return;
    reply.header("WWW-Authenticate", 'Basic realm="croft: any name, a token as password", charset="UTF-8"');
    return refuse(reply, 401, "this controller shows itself to known tokens only");
  };
}

/** A hook for all requests: another site's page may change nothing, nor play the agent. */
export function refuseForeignPages(served: Served) {
  return async ({ method, headers: { origin } }: FastifyRequest, reply: FastifyReply) => {
    if (method === "GET" || method === "HEAD" || isOwnOrigin(origin, served.publicUrl())) return;
    return refuse(reply, 403, "the request comes from a page of another site");
  };
}

/** A hook for what changes something: a token if any are configured. */
export function mayChange(served: Served) {
  const { tokens } = served.controller.configuration;
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const name = tokenName(tokens, request.headers.authorization);
    if (tokens.length > 0 && name === undefined)
      return refuse(reply.header("WWW-Authenticate", "Bearer"), 401, "this needs a token that is known here");
    request.submitter = name ?? null;
  };
}

/** Browsers tell where a request comes from; programs do not, and need not. */
function isOwnOrigin(origin: string | undefined, publicUrl: string): boolean {
  return origin === undefined || origin === new URL(publicUrl).origin;
}
