/** How pages are sent. */
import type { FastifyReply } from "fastify";
import { maskCredentials } from "../../os/text/credentials.ts";
import type { Visitor } from "../routes/visitor.ts";
import { html } from "./html.ts";
import { page, securityHeaders } from "./layout.ts";

/** A page for a person who asked for what cannot be. */
export function sendRefusal(reply: FastifyReply, status: number, reason: string, visitor?: Visitor) {
  const content = html`<h1>${maskCredentials(reason)}</h1>
    <p><a href="/builds">All builds</a></p>`;
  return sendPage(reply.code(status), page(status === 404 ? "Not found" : "Refused", content, visitor));
}

/** Sends a page, which nobody keeps. */
export function sendPage(reply: FastifyReply, text: string) {
  return reply
    .headers({ ...securityHeaders, "cache-control": "no-store" })
    .type("text/html; charset=utf-8")
    .send(text);
}
