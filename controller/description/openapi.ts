/**
 * The OpenAPI document of the JSON interface, at `/api/v1/openapi.json`. What may be asked is read from the schemas by which the
 * routes check it; what is answered stands in answers.ts.
 */
import {
  fastify,
  type FastifyInstance,
  type FastifySchema,
  type HTTPMethods,
  type RouteOptions,
} from "fastify";
import { packageVersion } from "../../os/files/package.ts";
import type { Served } from "../routes/served.ts";
import { refusal } from "./answers.ts";
import { questions, type Question } from "./interface.ts";

const prefix = "/api/v1/";

interface DescribedRoute {
  method: HTTPMethods;
  url: string;
  schema: FastifySchema;
}

/** Adds the route; before those that it describes. */
export function addDescription(server: FastifyInstance, served: Served): void {
  const routes: DescribedRoute[] = [];
  server.addHook("onRoute", ({ method, url, schema = {} }: RouteOptions) => {
    // One for HEAD goes with each for GET.
    if (url.startsWith(prefix) && typeof method === "string" && method !== "HEAD")
      routes.push({ method: method as HTTPMethods, url, schema });
  });
  let document: Promise<object> | undefined;
  server.get(`${prefix}openapi.json`, async (request) => {
    // Made when it is first asked for: most controllers never are.
    document ??= documentOf(routes);
    return { ...(await document), servers: [{ url: served.publicUrl(request) }] };
  });
}

async function documentOf(routes: readonly DescribedRoute[]): Promise<object> {
  const { default: swagger } = await import("@fastify/swagger");
  // Never listens: the library describes the routes of a server.
  await using server = fastify();
  server.setValidatorCompiler(() => () => true);
  server.setSerializerCompiler(() => (data) => JSON.stringify(data));
  await server.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "croft", version: packageVersion, description: "A build farm's controller." },
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
    },
  });
  server.after(() => {
    for (const { method, url, schema } of routes)
      server.route({
        method,
        url: url.replace(/\*$/, ":name"),
        schema: described(questions[`${method} ${url}`]!, schema),
        handler: () => undefined,
      });
  });
  await server.ready();
  return server.swagger();
}

function described({ summary, asker, answer: [status, content], form }: Question, asked: FastifySchema) {
  const { params, querystring, body = form } = asked;
  const what =
    typeof content === "string"
      ? { content: { [content]: { schema: { type: "string" } } } }
      : { content: { "application/json": { schema: content } } };
  return {
    ...{ summary, security: securityOf(asker) },
    ...(asker === "submit" || asker === "trusted" || asker === "admin"
      ? { description: `For tokens of the role ${asker}.` }
      : {}),
    ...(params ? { params: named(params) } : {}),
    ...(querystring ? { querystring } : {}),
    ...(form ? { consumes: ["multipart/form-data"] } : {}),
    ...(body ? { body } : {}),
    response: {
      [status]: { description: summary, ...what },
      "4XX": { description: "Refused, in words", content: { "application/json": { schema: refusal } } },
    },
  };
}

/** What a path's end is called here. */
function named(params: unknown): unknown {
  const { properties, required, ...rest } = structuredClone(params) as {
    properties: Record<string, unknown>;
    required?: string[];
  };
  const renamed = Object.entries(properties).map(([key, value]) => [key === "*" ? "name" : key, value]);
  return {
    ...rest,
    properties: Object.fromEntries(renamed) as Record<string, unknown>,
    required: required?.map((key) => (key === "*" ? "name" : key)),
  };
}

/** Whoever it is may read, but a private controller asks for a token. */
function securityOf(asker: Question["asker"]): Record<string, string[]>[] {
  const token = { token: [] };
  if (asker === "anybody") return [];
  return asker === "read" || asker === "submit" ? [token, {}] : [token];
}
