/** The pages for people. */
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance, FastifyReply } from "fastify";
import Type from "typebox";
import { maskCredentials } from "../../os/text/credentials.ts";
import { answerWithEvents } from "../event-stream.ts";
import { readDetails } from "../representation.ts";
import { mayRead } from "../routes/access.ts";
import { buildParameters, listSchema } from "../routes/api.ts";
import { mayReadBuild, seesPrivate } from "../secret-routes/readers.ts";
import type { Served } from "../routes/served.ts";
import { visitorOf, type Visitor } from "../routes/visitor.ts";
import { buildPage } from "./build-page.ts";
import { buildsPage } from "./builds-page.ts";
import { html } from "./html.ts";
import { page, securityHeaders, staticFiles } from "./layout.ts";
import { sendLive } from "./live.ts";

const pageLength = 50;

const attemptSchema = Type.Object({ attempt: Type.Optional(Type.Integer({ minimum: 1 })) });
const liveSchema = Type.Object({ from: Type.Optional(Type.String({ maxLength: 200 })) });

/** Adds the pages and their files. */
export function addDashboard(untyped: FastifyInstance, served: Served): void {
  const server = untyped.withTypeProvider<TypeBoxTypeProvider>();
  const { controller } = served;
  const reading = { onRequest: mayRead(served) };
  const missing = (reply: FastifyReply) => sendRefusal(reply, 404, "There is no such build");
  addStaticFiles(untyped);

  // With the query: the list says what it does not know of it.
  server.get("/", reading, ({ url }, reply) => reply.redirect(`/builds${/\?.+$/.exec(url)?.[0] ?? ""}`));

  server.get("/builds", { ...reading, schema: { querystring: listSchema } }, async (request, reply) => {
    const { limit = pageLength, ...filter } = request.query;
    const withPrivate = await seesPrivate(served, request);
    const found = await controller.builds.list({ ...filter, publicOnly: !withPrivate, limit: limit + 1 });
    const counts = await controller.builds.count(withPrivate);
    const visitor = await visitorOf(served, request);
    return sendPage(
      reply,
      buildsPage({ builds: found.slice(0, limit), counts, filter, more: found.length > limit }, visitor),
    );
  });

  server.get(
    "/builds/:id",
    {
      onRequest: mayReadBuild(served, missing),
      schema: { params: buildParameters, querystring: attemptSchema },
    },
    async (request, reply) => {
      const details = await readDetails(controller, request.params.id);
      const { attempt } = request.query;
      if (!details || (attempt ?? 0) > details.sessions.length) return missing(reply);
      const visitor = await visitorOf(served, request);
      return sendPage(reply, await buildPage(controller, details, visitor, attempt));
    },
  );

  server.get(
    "/builds/:id/live",
    {
      onRequest: [...mayReadBuild(served, missing), served.limitFollowers],
      exposeHeadRoute: false,
      schema: { params: buildParameters, querystring: liveSchema },
    },
    async (request, reply) => {
      if (!(await controller.followed.look(request.params.id))) return missing(reply);
      const from = String(request.headers["last-event-id"] ?? request.query.from ?? "");
      return answerWithEvents(reply, controller.log, (stream) =>
        sendLive(controller, request.params.id, from, stream),
      );
    },
  );
}

function addStaticFiles(server: FastifyInstance): void {
  for (const [name, { content, type }] of staticFiles)
    server.get(`/static/${name}`, (_request, reply) =>
      reply
        .headers({ ...securityHeaders, "cache-control": "public, max-age=31536000, immutable" })
        .type(type)
        .send(content),
    );
}

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
