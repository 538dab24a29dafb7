/** Who may read and who may change. */
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import type { FastifyReply, FastifyRequest } from "fastify";
import { isSignatureOf } from "../authentication/signatures.ts";
import { mayAct, type Person } from "../authentication/tokens.ts";
import type { Requester } from "../builds/clearances.ts";
import { isCurrent, type Session } from "../builds/session.ts";
import type { ControllerConfiguration } from "../configuration.ts";
import type { Controller } from "../controller.ts";
import { isLoopback } from "../../os/network/listen-address.ts";
import { asksForPage, refuse, type Served } from "./served.ts";
import { reasonAgainstSignIn, visitorOf } from "./visitor.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Name of the token of a request that may change something. */
    submitter?: string | null;
    /** What the controller knows of them. */
    requester?: Requester;
    /** That of the URL, in routes that are for a session alone. */
    currentSession?: Session;
  }
}

/** A hook for what only reads: open, unless the controller is private. */
export function mayRead(served: Served) {
  const { configuration } = served.controller;
  return async (request: FastifyRequest, reply: FastifyReply) => {
    if (!configuration.private || (await visitorOf(served, request)).person) return;
    if (asksForPage(request) && request.method === "GET" && reasonAgainstSignIn(configuration) === undefined)
      return reply.redirect(`/sign-in?to=${encodeURIComponent(request.url)}`, 303);
    reply.header("WWW-Authenticate", 'Basic realm="croft: any name, a token as password", charset="UTF-8"');
    return refuse(reply, 401, "this controller shows itself to known tokens only");
  };
}

/** A hook for all requests: another site's page may change nothing, nor play the agent. */
export function refuseForeignPages(served: Served) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { method, headers } = request;
    if (method === "GET" || method === "HEAD" || isOwnOrigin(served, headers)) return;
    return refuse(reply, 403, "the request comes from a page of another site");
  };
}

/**
 * A hook for all requests to a controller that listens on loopback: a page of any site can have its name lead there (DNS
 * rebinding), and is then no foreign page to the browser. Agents send what they were told, and no browser is one.
 */
export function refuseForeignHosts({ controller: { configuration } }: Served) {
  return async ({ url, headers: { host } }: FastifyRequest, reply: FastifyReply) => {
    // No browser leaves the name out; what looks after a proxy's servers by HTTP/1.0 does.
    if (!isLoopback(configuration.listen.host) || url.startsWith("/agent/") || host === undefined) return;
    if (isOwnHost(configuration, host)) return;
    return refuse(reply, 421, "this controller is not reached by that name", [
      "Names that lead to it belong into its configuration: public-url.",
    ]);
  };
}

/** An address, `localhost` or the name of `public-url`: what another site cannot have lead here. */
function isOwnHost({ publicUrl }: ControllerConfiguration, host: string): boolean {
  const own = publicUrl === undefined ? undefined : new URL(publicUrl).hostname;
  const { hostname = "" } = URL.parse(`http://${host}`) ?? {};
  return hostname === "localhost" || hostname === own || isIP(hostname.replace(/^\[|\]$/g, "")) !== 0;
}

/** A hook for what changes something: a token that is for it, if there are any tokens. */
export function mayChange(served: Served) {
  const { tokens, configuration } = served.controller;
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const person = await tokens.find(request.headers.authorization);
    if (!person && (configuration.private || (await tokens.any())))
      return refuse(reply.header("WWW-Authenticate", "Bearer"), 401, "this needs a token that is known here");
    if (person && !mayAct(person, "submit"))
      return refuse(reply, 403, `the token '${person.name}' is for reading only`);
    request.submitter = person?.name ?? null;
    request.requester = requesterOf(person);
  };
}

/** Whose builds are trusted: who has a token for that. */
export function requesterOf(person: Person | undefined): Requester {
  return { isKnown: person !== undefined, isTrusted: person !== undefined && mayAct(person, "trusted") };
}

/** A hook for what concerns the whole farm: a token of an administrator, also if there are no tokens yet. */
export function mayAdminister(served: Served) {
  const { tokens } = served.controller;
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const person = await tokens.find(request.headers.authorization);
    const hints = ["Whoever may use its data directory commands it on its own host, without a token."];
    if (!person)
      return refuse(
        reply.header("WWW-Authenticate", "Bearer"),
        401,
        "this needs a token with the role 'admin'",
        hints,
      );
    if (!mayAct(person, "admin"))
      return refuse(reply, 403, `the token '${person.name}' has not the role 'admin'`, hints);
    request.submitter = person.name;
  };
}

/** Browsers tell where a request comes from; programs do not, and need not. */
function isOwnOrigin(served: Served, { origin, host = "" }: IncomingHttpHeaders): boolean {
  if (origin === undefined || origin === new URL(served.publicUrl()).origin) return true;
  const { configuration } = served.controller;
  return origin === `http${configuration.tls ? "s" : ""}://${host}` && isOwnHost(configuration, host);
}

/** A hook for what has a session in its URL, whose result the build waits for: nothing is read from anybody else. */
export function forCurrentSession(controller: Controller) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const session = await controller.sessions.find((request.params as { session: string }).session);
    if (!session || !isCurrent(session)) return refuse(reply, 410, "the session is over");
    if (controller.agentKeys.isRevokedFor(session))
      return refuse(reply, 401, "the agent's key is not known any more");
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
  const key = agentKeys.get(session.fingerprint ?? "");
  return key !== undefined && answer !== undefined && isSignatureOf(key, session.challenge, answer);
}
