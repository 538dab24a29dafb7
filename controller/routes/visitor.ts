/** Who looks at the pages, and what they may do there. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { FastifyReply, FastifyRequest } from "fastify";
import { isLoopback } from "../../os/network/listen-address.ts";
import { signInSeconds } from "../authentication/sign-ins.ts";
import { digestOf, mayAct, type Person } from "../authentication/tokens.ts";
import type { ControllerConfiguration } from "../configuration.ts";
import type { Served } from "./served.ts";

/** Somebody at a browser. */
export interface Visitor {
  person: Person | undefined;
  /** Of what they are known by: their token, or their session's value. */
  digest: string | undefined;
  /** With a session that can be ended. */
  isSignedIn: boolean;
  /** Forms that change something are shown, and taken. */
  mayChange: boolean;
  maySignIn: boolean;
  /** Comes with each form, and is known to our own pages alone. It is another one each time: pages are compressed. */
  formToken: string;
  /** What it is made of. */
  formKey: string;
}

declare module "fastify" {
  interface FastifyRequest {
    /** Found once for a request. */
    visitor?: Promise<Visitor>;
  }
}

/** Whether somebody may do what concerns the whole farm, and see what is private in it. */
export function isAdministrator({ person }: Visitor): boolean {
  return person !== undefined && mayAct(person, "admin");
}

/** Who asks, by the session of the browser or by a token. */
export function visitorOf(served: Pick<Served, "controller">, request: FastifyRequest): Promise<Visitor> {
  return (request.visitor ??= findVisitor(served, request));
}

async function findVisitor(
  { controller }: Pick<Served, "controller">,
  request: FastifyRequest,
): Promise<Visitor> {
  const { configuration, tokens, signIns } = controller;
  const cookie = request.cookies[cookieName(configuration)];
  const signedIn = cookie === undefined ? undefined : await signIns.find(cookie);
  const person = signedIn ?? (await tokens.find(request.headers.authorization));
  const isOpen = !person && !configuration.private && !(await tokens.any());
  const secret = signedIn ? cookie : request.headers.authorization;
  return {
    person,
    digest: signedIn ? digestOf(cookie!) : person?.sha256,
    isSignedIn: signedIn !== undefined,
    mayChange: person ? mayAct(person, "submit") : isOpen,
    maySignIn: !person && !isOpen && reasonAgainstSignIn(configuration) === undefined,
    formToken: formTokenOf(secret ?? "", randomBytes(9).toString("base64url")),
    formKey: secret ?? "",
  };
}

function formTokenOf(key: string, nonce: string): string {
  return nonce + createHash("sha256").update(`form ${nonce} ${key}`).digest("base64url");
}

/**
 * Whether a form is from one of our pages, for this visitor: it has their token, and the browser says that it comes from
 * here (whoever says something else was refused before).
 */
export function isOwnForm(
  { formToken, formKey }: Visitor,
  { headers }: FastifyRequest,
  given: string | undefined,
): boolean {
  if (headers.origin === undefined || given?.length !== formToken.length) return false;
  const expected = Buffer.from(formTokenOf(formKey, given.slice(0, 12)));
  const bytes = Buffer.from(given);
  return bytes.length === expected.length && timingSafeEqual(bytes, expected);
}

/** Why nobody may sign in here: the token would go over the network for all to read. */
export function reasonAgainstSignIn(configuration: ControllerConfiguration): string | undefined {
  if (isSecure(configuration)) return undefined;
  const { publicUrl, listen } = configuration;
  const host = publicUrl === undefined ? listen.host : new URL(publicUrl).hostname.replace(/^\[|\]$/g, "");
  if (isLoopback(listen.host) && (host === "localhost" || isLoopback(host))) return undefined;
  return "This controller is reached by plain http, over which a token could be read on its way.";
}

/** Browsers send a cookie of such a name over https alone, and take it from this host alone. */
function cookieName(configuration: ControllerConfiguration): string {
  return isSecure(configuration) ? "__Host-croft" : "croft";
}

function isSecure({ publicUrl, tls }: Pick<ControllerConfiguration, "publicUrl" | "tls">): boolean {
  return publicUrl === undefined ? tls !== undefined : new URL(publicUrl).protocol === "https:";
}

/** Puts the session's value into the browser; undefined takes it away. */
export function setSession(
  reply: FastifyReply,
  configuration: ControllerConfiguration,
  value: string | undefined,
): void {
  void reply.setCookie(cookieName(configuration), value ?? "", {
    path: "/",
    httpOnly: true,
    sameSite: "lax",
    secure: isSecure(configuration),
    maxAge: value === undefined ? 0 : signInSeconds,
  });
}

/** The value of the browser's session, if it has one. */
export function sessionOf(
  request: FastifyRequest,
  configuration: ControllerConfiguration,
): string | undefined {
  return request.cookies[cookieName(configuration)];
}
