/** `/badge/NAME.svg`: the badge of a package, for all its targets or one. */
import { createHash } from "node:crypto";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance, FastifyRequest } from "fastify";
import Type from "typebox";
import { standingOf } from "../builds/standing.ts";
import { refuse, type Served } from "../routes/served.ts";
import { seesPrivate } from "../secret-routes/readers.ts";
import { badge } from "./badge.ts";
import { securityHeaders } from "./layout.ts";

const parameters = Type.Object({ file: Type.String({ pattern: "^[^/]{1,200}\\.svg$" }) });
const query = Type.Object(
  {
    target: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
    token: Type.Optional(Type.String({ maxLength: 200 })),
  },
  { additionalProperties: false },
);

/** Adds the route. Whoever keeps a badge asks each time whether it is still the same: it is the state now, or nothing. */
export function addBadge(untyped: FastifyInstance, served: Served): void {
  const server = untyped.withTypeProvider<TypeBoxTypeProvider>();
  const { builds, database, configuration } = served.controller;
  server.get(
    "/badge/:file",
    { schema: { params: parameters, querystring: query } },
    async (request, reply) => {
      const name = request.params.file.slice(0, -".svg".length);
      const { target, token } = request.query;
      const isKnown = target === undefined || builds.targetNames.includes(target);
      const seesAll = await maySeeAll(served, request, token);
      const status =
        isKnown && (seesAll || !configuration.private)
          ? await standingOf(database, name, target === undefined ? builds.targetNames : [target], seesAll)
          : "unknown";
      // The same answer to who may not see it as about what is not there.
      if (status === "unknown")
        return refuse(reply.header("cache-control", "no-store"), 404, "there is no such badge");
      const picture = badge(target === undefined ? name : `${name} ${target}`, status);
      const tag = `"${createHash("sha256").update(picture).digest("hex").slice(0, 16)}"`;
      void reply.headers({
        ...securityHeaders,
        "cache-control": seesAll ? "private, no-cache" : "no-cache",
        etag: tag,
      });
      if (seesAll) void reply.header("vary", "authorization, cookie");
      if (matches(request.headers["if-none-match"], tag)) return reply.code(304).send();
      return reply.type("image/svg+xml; charset=utf-8").send(picture);
    },
  );
}

/**
 * A README cannot send a header: a private badge's URL may have a token in it, but one that is for reading alone, as whoever
 * reads the README has it.
 */
async function maySeeAll(served: Served, request: FastifyRequest, token?: string): Promise<boolean> {
  const { tokens } = served.controller;
  if (await seesPrivate(served, request)) return true;
  return token !== undefined && (await tokens.find(`Bearer ${token}`))?.role === "read";
}

/** RFC 9110, 13.1.2: a list of tags, each perhaps a weak one, as proxies that compress make it. */
function matches(header: string | undefined, tag: string): boolean {
  return (header ?? "").split(",").some((one) => ["*", tag].includes(one.trim().replace(/^W\//, "")));
}
