/** `POST /hooks/NAME`: what a forge tells of a repository. */
import { createHash } from "node:crypto";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { assertFailure } from "../../os/failure.ts";
import { buildJson } from "../representation.ts";
import { addBinaryBodies, RouteBodies } from "../routes/body.ts";
import { statusOf } from "../routes/api.ts";
import { refuse, type Served } from "../routes/served.ts";
import { cleaned, PayloadError, type ForgeEvent, type Ignored } from "./event.ts";
import { header, type HookRequest } from "./forge.ts";
import { leadsTo, type Repository } from "./repositories.ts";
import { reasonAgainst, type Taken } from "./forge-events.ts";

/** GitHub sends up to 25 MB, but of what is read here nothing comes near this. */
const payloadBytes = 5 << 20;
/** Of all that is being received. */
const payloadsBytes = 8 * payloadBytes;

const formType = "application/x-www-form-urlencoded";

/** Adds the route; on a server of its own, as the signature is that of the bytes that came. */
export function addHooks(server: FastifyInstance, served: Served): void {
  const repositories = new Map(served.controller.configuration.repositories.map((one) => [one.name, one]));
  addBinaryBodies(server, ["application/json", formType]);
  server.post<{ Params: { name: string } }>(
    "/hooks/:name",
    {
      bodyLimit: payloadBytes,
      config: { bodies: new RouteBodies(payloadsBytes) },
      // Before anything of the body is read.
      onRequest: async ({ params, headers }, reply) => {
        const repository = repositories.get(params.name);
        if (!repository) return refuse(reply, 404, `no repository '${params.name}' is configured here`);
        const { proofHeaders } = repository.forge;
        if (!proofHeaders.some((name) => header(headers, name) !== undefined))
          return refuse(reply, 401, `the request has no ${proofHeaders.join(" or ")}`, [
            "Set the hook's secret at the forge to that of the controller's configuration.",
          ]);
      },
    },
    (request, reply) => answerHook(served, repositories.get(request.params.name)!, request, reply),
  );
}

async function answerHook(
  served: Served,
  repository: Repository,
  request: FastifyRequest,
  reply: FastifyReply,
) {
  if (!Buffer.isBuffer(request.body)) return refuse(reply, 415, "the body must be application/json");
  const { headers, body } = { headers: request.headers, body: request.body };
  const hook: HookRequest = { headers, body, json: jsonIn(request.headers["content-type"] ?? "", body) };
  if (!repository.forge.isAuthentic(hook, repository.secret)) {
    served.controller.log.warn(
      { repository: repository.name, address: request.ip },
      "a hook has a wrong secret",
    );
    return refuse(reply, 401, "the request is not signed with the secret of this hook");
  }
  const read = readEvent(repository, hook);
  if ("trouble" in read) return refuse(reply, 400, read.trouble);
  if ("ignored" in read) return reply.send(read);
  const ignored = reasonAgainst(repository, read);
  if (ignored !== undefined) return reply.send({ ignored });
  const digest = createHash("sha256").update(body).digest("hex");
  const delivery = { id: repository.forge.deliveryOf(headers)?.slice(0, 200) ?? digest, digest };
  try {
    const taken = await served.controller.forgeEvents.take(repository, delivery, read);
    return answerTaken(served, request, reply, taken);
  } catch (error) {
    assertFailure(error);
    return refuse(reply, statusOf(error), error.message, error.hints);
  }
}

function answerTaken(
  served: Served,
  request: FastifyRequest,
  reply: FastifyReply,
  { outcome, event, isWaiting, builds }: Taken,
) {
  if (outcome === "conflict") return refuse(reply, 409, "another event came under the name of this delivery");
  const base = served.publicUrl(request);
  const status = { built: 201, reading: 202, waiting: 202, known: 200 }[outcome];
  if (outcome !== "known")
    served.controller.log.info({ event, builds: builds.map(({ id }) => id) }, "told by a forge");
  return reply
    .code(status)
    .send({ event, waiting: isWaiting, builds: builds.map((build) => buildJson(build, base)) });
}

/** The JSON of a payload; GitHub's and Gitea's hooks may also send it in a form. */
function jsonIn(contentType: string, body: Buffer): string | undefined {
  if (!contentType.toLowerCase().startsWith(formType)) return body.toString();
  return new URLSearchParams(body.toString()).get("payload") ?? undefined;
}

function readEvent(
  { forge, url, name }: Repository,
  { headers, json }: HookRequest,
): ForgeEvent | Ignored | { trouble: string } {
  try {
    const read = forge.read(headers, JSON.parse(json ?? ""));
    if ("ignored" in read) return read;
    const event = cleaned(read);
    // A secret may be that of several repositories, or of all of an organization.
    if (leadsTo(url, event.repository)) return event;
    return { trouble: `the hook '${name}' is not that of ${event.repository}` };
  } catch (error) {
    if (error instanceof SyntaxError) return { trouble: "the payload is no JSON" };
    if (!(error instanceof PayloadError)) throw error;
    return { trouble: `the payload is none of this forge: ${error.message}` };
  }
}
