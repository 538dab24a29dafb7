/** The pages for people. */
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import Type from "typebox";
import { answerWithEvents } from "../event-stream.ts";
import { readDetails } from "../representation.ts";
import { mayRead } from "../routes/access.ts";
import { buildParameters, listSchema } from "../routes/api.ts";
import { mayReadBuild, seesPrivate } from "../secret-routes/readers.ts";
import type { Served } from "../routes/served.ts";
import { oneOf } from "../one-of.ts";
import { visitorOf } from "../routes/visitor.ts";
import { buildPage } from "./build-page.ts";
import { buildsPage } from "./builds-page.ts";
import { buildsOfPackage } from "./history/package-builds.ts";
import { cellsOf } from "./history/cells.ts";
import { matrixPage } from "./history/matrix-page.ts";
import { packagePage } from "./history/package-page.ts";
import { securityHeaders, staticFiles } from "./layout.ts";
import { sendLive } from "./live.ts";
import { logPage } from "./log/log-page.ts";
import { readPart } from "./log/whole-log.ts";
import { logOf } from "./log/log-excerpt.ts";
import { sendPage, sendRefusal } from "./sending.ts";

const pageLength = 50;

const attemptSchema = Type.Object({ attempt: Type.Optional(Type.Integer({ minimum: 1 })) });
const liveSchema = Type.Object({ from: Type.Optional(Type.String({ maxLength: 200 })) });

const logParameters = Type.Object({
  id: buildParameters.properties.id,
  attempt: Type.Integer({ minimum: 1 }),
  ordinal: Type.Integer({ minimum: 0 }),
});
const logSchema = Type.Object(
  {
    from: Type.Optional(Type.Integer({ minimum: 1 })),
    text: Type.Optional(Type.String({ maxLength: 200 })),
    severity: Type.Optional(oneOf("error", "warning")),
  },
  { additionalProperties: false },
);
const packageParameters = Type.Object({ name: Type.String({ minLength: 1, maxLength: 300 }) });

/** A form sends what nobody filled in, too. */
export async function leaveOutEmpty({ query }: FastifyRequest): Promise<void> {
  const given = query as Record<string, unknown>;
  for (const [name, value] of Object.entries(given)) if (value === "") delete given[name];
}

/** Adds the pages and their files. */
export function addDashboard(untyped: FastifyInstance, served: Served): void {
  const server = typed(untyped);
  addStaticFiles(untyped);
  addLists(server, served);
  addBuildPages(server, served);
}

const typed = (server: FastifyInstance) => server.withTypeProvider<TypeBoxTypeProvider>();
type Server = ReturnType<typeof typed>;

function addLists(server: Server, served: Served): void {
  const { controller } = served;
  const reading = { onRequest: mayRead(served) };
  const listing = { ...reading, schema: { querystring: listSchema }, preValidation: leaveOutEmpty };
  server.get("/builds", listing, async (request, reply) => {
    const { limit = pageLength, ...filter } = request.query;
    const withPrivate = await seesPrivate(served, request);
    const listed = { ...filter, publicOnly: !withPrivate, limit: limit + 1 };
    const found = await controller.builds.list(listed);
    const { state: _, before: _before, ...narrowed } = filter;
    const isWhole = Object.values(narrowed).every((value) => value === undefined);
    const counts = await (isWhole
      ? controller.builds.count(withPrivate)
      : controller.builds.countListed(listed));
    const visitor = await visitorOf(served, request);
    const more = found.length > limit;
    const targets = controller.builds.targetNames;
    const builds = found.slice(0, limit);
    const estimates = await controller.estimates.ofAll(builds, withPrivate);
    return sendPage(reply, buildsPage({ builds, estimates, counts, filter, targets, more }, visitor));
  });

  server.get(
    "/packages/:name",
    { ...reading, schema: { params: packageParameters } },
    async (request, reply) => {
      const { name } = request.params;
      const withPrivate = await seesPrivate(served, request);
      const builds = await buildsOfPackage(controller.database, name, withPrivate);
      const visitor = await visitorOf(served, request);
      if (builds.length === 0) return sendRefusal(reply, 404, "There is no build of such a package", visitor);
      if (builds[0]!.specification.cell === undefined)
        return sendPage(reply, packagePage(name, builds, visitor));
      const cells = await cellsOf(controller.database, name, withPrivate);
      return sendPage(reply, matrixPage(name, cells, visitor));
    },
  );
}

function addBuildPages(server: Server, served: Served): void {
  const { controller } = served;
  const missing = (reply: FastifyReply) => sendRefusal(reply, 404, "There is no such build");
  server.get(
    "/builds/:id",
    {
      onRequest: mayReadBuild(served, missing),
      schema: { params: buildParameters, querystring: attemptSchema },
    },
    async (request, reply) => {
      const details = await readDetails(controller, request.params.id, await seesPrivate(served, request));
      const { attempt } = request.query;
      if (!details || (attempt ?? 0) > details.sessions.length) return missing(reply);
      const visitor = await visitorOf(served, request);
      return sendPage(reply, await buildPage(controller, details, visitor, attempt));
    },
  );

  server.get(
    "/builds/:id/logs/:attempt/:ordinal",
    {
      onRequest: mayReadBuild(served, missing),
      schema: { params: logParameters, querystring: logSchema },
      preValidation: leaveOutEmpty,
    },
    async (request, reply) => {
      const { id, attempt, ordinal } = request.params;
      const details = await readDetails(controller, id, await seesPrivate(served, request));
      const session = details?.sessions.find((one) => one.attempt === attempt);
      const operation = details?.operations.find(
        (one) => one.session === session?.id && one.ordinal === ordinal,
      );
      if (!details || !session || !operation) return missing(reply);
      const { from = 1, ...sought } = request.query;
      const log = logOf(controller.blobs, operation);
      const part = await readPart(
        log,
        `o${ordinal}`,
        Math.min(from, Math.max(1, operation.log_lines)),
        sought,
      );
      const visitor = await visitorOf(served, request);
      return sendPage(reply, logPage({ details, attempt, operation, part, sought }, visitor));
    },
  );

  server.get(
    "/builds/:id/live",
    {
      onRequest: [...mayReadBuild(served, missing), ...served.following],
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
