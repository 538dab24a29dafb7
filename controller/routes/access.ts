/** Who may read and who may change. */
import { isIP } from "node:net";
import type { FastifyReply, FastifyRequest } from "fastify";
import { isSignatureOf } from "../authentication/agent-keys.ts";
import { tokenName } from "../authentication/tokens.ts";
import { isCurrent, type Session } from "../builds/session.ts";
import type { Controller } from "../controller.ts";
import { isLoopback } from "../../os/network/listen-address.ts";
import { refuse, type Served } from "./served.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Name of the token of a request that may change something. */
    submitter?: string | null;
    /** That of the URL, in routes that are for a session alone. */
    currentSession?: Session;
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

/**
 * A hook for all requests to a controller that listens on loopback: a page of any site can have its name lead there (DNS
 * rebinding), and is then no foreign page to the browser. Agents send what they were told, and no browser is one.
 */
export function refuseForeignHosts({ controller: { configuration } }: Served) {
  const { listen, publicUrl } = configuration;
  const own = publicUrl === undefined ? undefined : new URL(publicUrl).hostname;
  return async ({ url, headers: { host = "" } }: FastifyRequest, reply: FastifyReply) => {
    if (!isLoopback(listen.host) || url.startsWith("/agent/")) return;
    const { hostname = "" } = URL.parse(`http://${host}`) ?? {};
    if (hostname === "localhost" || hostname === own || isIP(hostname.replace(/^\[|\]$/g, "")) !== 0) return;
    return refuse(reply, 421, "this controller is not reached by that name", [
      "Names that lead to it belong into its configuration: public-url.",
    ]);
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

/** A hook for what has a session in its URL, whose result the build waits for: nothing is read from anybody else. */
export function forCurrentSession({ sessions }: Controller) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const session = await sessions.find((request.params as { session: string }).session);
    if (!session || !isCurrent(session)) return refuse(reply, 410, "the session is over");
    request.currentSession = session;
    request.bodyMayTakeLong?.();
  };
}

/** Whether the answer to the session's challenge is right; without keys there was no challenge. */
export function isAuthentic(
  { agentKeys }: Controller,
  session: Session,
  answer: string | undefined,
): boolean {
  if (session.challenge === null) return true;
  const key = agentKeys?.get(session.fingerprint ?? "");
  return key !== undefined && answer !== undefined && isSignatureOf(key, session.challenge, answer);
}
