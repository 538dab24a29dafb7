/** The JSON interface for people's programs, under `/api/v1`. */
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance, FastifyReply } from "fastify";
import Type from "typebox";
import { assertFailure, Failure } from "../../os/failure.ts";
import { resultStatuses } from "../../manifests/result-status.ts";
import { ConflictFailure } from "../builds/builds.ts";
import type { Controller } from "../controller.ts";
import { buildJson, detailsJson, listedJson, readDetails } from "../representation.ts";
import { mayChange, mayRead } from "./access.ts";
import { mayChangeBuild, mayReadBuild, seesPrivate } from "../secret-routes/readers.ts";
import { refuse, type Served } from "./served.ts";
import { oneOf } from "../one-of.ts";
import { readSubmission, submissionSchema, word } from "./submission.ts";

const closed = { additionalProperties: false } as const;
const id = Type.Integer({ minimum: 1, maximum: 2_147_483_647 });
/** Such as `2026-01-31`. */
const day = Type.String({ pattern: "^20\\d\\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\\d|3[01])$" });
export const buildParameters = Type.Object({ id });

export const listSchema = Type.Object(
  {
    state: Type.Optional(oneOf("queued", "building", "finished", "cancelled")),
    status: Type.Optional(oneOf(...resultStatuses)),
    target: Type.Optional(word(100)),
    name: Type.Optional(word(200)),
    agent: Type.Optional(word(200)),
    submission: Type.Optional(id),
    text: Type.Optional(Type.String({ pattern: "^[^\\u0000-\\u001f\\u007f]*$", maxLength: 200 })),
    since: Type.Optional(day),
    until: Type.Optional(day),
    before: Type.Optional(id),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500 })),
  },
  closed,
);

/** Adds the routes for builds. */
export function addApiRoutes(untyped: FastifyInstance, served: Served): void {
  const server = typed(untyped);
  addSubmission(server, served);
  addReading(server, served);
  addChanges(server, served);
}

type Server = ReturnType<typeof typed>;
const typed = (server: FastifyInstance) => server.withTypeProvider<TypeBoxTypeProvider>();

function addSubmission(server: Server, served: Served): void {
  const { builds } = served.controller;
  const changing = { onRequest: mayChange(served) };
  server.post("/api/v1/builds", { ...changing, schema: { body: submissionSchema } }, (request, reply) =>
    answer(reply, 201, async () => {
      await checkSpace(served.controller);
      const made = await builds.submit(
        readSubmission(request.body),
        request.submitter ?? null,
        request.requester,
      );
      return { builds: made.map((build) => buildJson(build, served.publicUrl(request))) };
    }),
  );
}

function addReading(server: Server, served: Served): void {
  const { builds } = served.controller;
  const reading = { onRequest: mayRead(served) };
  const readingBuild = { onRequest: mayReadBuild(served) };
  server.get("/api/v1/builds", { ...reading, schema: { querystring: listSchema } }, (request, reply) =>
    answer(reply, 200, async () => {
      const { limit = 50, ...filter } = request.query;
      const publicOnly = !(await seesPrivate(served, request));
      if (filter.target !== undefined) await builds.checkTarget(filter.target, "list builds", publicOnly);
      const found = await builds.list({ ...filter, publicOnly, limit: limit + 1 });
      const page = found.slice(0, limit);
      const next = found.length > limit ? page.at(-1)!.id : null;
      return {
        builds: await listedJson(served.controller, page, {
          base: served.publicUrl(request),
          withPrivate: !publicOnly,
        }),
        next,
      };
    }),
  );

  server.get(
    "/api/v1/builds/:id",
    { ...readingBuild, schema: { params: buildParameters } },
    async (request, reply) => {
      const details = await readDetails(
        served.controller,
        request.params.id,
        await seesPrivate(served, request),
      );
      if (!details) return refuse(reply, 404, `there is no build ${request.params.id}`);
      return detailsJson(details, served.publicUrl(request));
    },
  );
}

function addChanges(server: Server, served: Served): void {
  const { builds } = served.controller;
  const changing = { onRequest: mayChangeBuild(served) };
  for (const [name, pinned] of [
    ["pin", true],
    ["unpin", false],
  ] as const)
    server.post(
      `/api/v1/builds/:id/${name}`,
      { ...changing, schema: { params: buildParameters } },
      (request, reply) =>
        answer(reply, 200, async () => {
          const build = await builds.pin(request.params.id, pinned);
          return build && buildJson(build, served.publicUrl(request));
        }),
    );
  server.post(
    "/api/v1/builds/:id/cancel",
    { ...changing, schema: { params: buildParameters } },
    (request, reply) =>
      answer(reply, 200, async () => {
        const build = await builds.find(request.params.id);
        if (!build) return undefined;
        await builds.cancel(build.id);
        return buildJson((await builds.find(build.id))!, served.publicUrl(request));
      }),
  );

  server.post(
    "/api/v1/builds/:id/rebuild",
    { ...changing, schema: { params: buildParameters } },
    (request, reply) =>
      answer(reply, 201, async () => {
        await checkSpace(served.controller);
        const build = await builds.find(request.params.id);
        return (
          build &&
          buildJson(
            await builds.rebuild(build, request.submitter ?? null, request.requester),
            served.publicUrl(request),
          )
        );
      }),
  );
}

/** Answers with what `work` gives; undefined: 404; a failure: 409 or 400, in words. */
export async function answer(reply: FastifyReply, status: number, work: () => Promise<object | undefined>) {
  try {
    const value = await work();
    if (value === undefined) return refuse(reply, 404, "there is no such build");
    return reply.code(status).send(value);
  } catch (error) {
    assertFailure(error);
    return refuse(reply, statusOf(error), error.message, error.hints);
  }
}

/** Of the answer to what failed as it was asked for. */
export function statusOf(error: Failure): number {
  if (error instanceof SpaceFailure) return 507;
  return error instanceof ConflictFailure ? 409 : 400;
}

/** @throws {SpaceFailure} while there is too little room for new builds. */
export async function checkSpace({ space }: Controller): Promise<void> {
  const reason = await space.reasonAgainst();
  if (reason !== undefined) throw new SpaceFailure("take a build", reason);
}

class SpaceFailure extends Failure {}
