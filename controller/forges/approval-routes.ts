/** Pull requests of forks that wait: who may look at the list, and who may have them built. */
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { assertFailure } from "../../os/failure.ts";
import type { ApprovalAnswer } from "../description/answers.ts";
import { mayAct } from "../authentication/tokens.ts";
import { buildJson } from "../representation.ts";
import { mayRead } from "../routes/access.ts";
import { buildParameters, statusOf } from "../routes/api.ts";
import { refuse, type Served } from "../routes/served.ts";
import { seesPrivate } from "../secret-routes/readers.ts";
import type { EventRow } from "./forge-events.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Name of the token of who approves or rejects. */
    approver?: string;
  }
}

/** Adds the routes. */
export function addApprovals(untyped: FastifyInstance, served: Served): void {
  const server = untyped.withTypeProvider<TypeBoxTypeProvider>();
  const { forgeEvents, log } = served.controller;
  server.get("/api/v1/approvals", { onRequest: mayRead(served) }, async (request) => {
    const events = await forgeEvents.waiting(await seesPrivate(served, request));
    return { approvals: events.map(approvalJson) };
  });

  const deciding = { onRequest: mayApprove(served), schema: { params: buildParameters } };
  const missing = (reply: FastifyReply) => refuse(reply, 404, "there is no such pull request");
  server.post("/api/v1/approvals/:id/approve", deciding, (request, reply) =>
    inWords(reply, async () => {
      const { id } = request.params;
      const builds = await forgeEvents.approve(id, request.approver!);
      if (!builds) return missing(reply);
      log.info({ event: id, by: request.approver }, "a pull request was approved");
      const base = served.publicUrl(request);
      return reply.code(201).send({ event: id, builds: builds.map((build) => buildJson(build, base)) });
    }),
  );
  server.post("/api/v1/approvals/:id/reject", deciding, (request, reply) =>
    inWords(reply, async () => {
      const { id } = request.params;
      if (!(await forgeEvents.reject(id, request.approver!))) return missing(reply);
      log.info({ event: id, by: request.approver }, "a pull request was rejected");
      return reply.send({ event: id, rejected: true });
    }),
  );
}

/**
 * A hook for what runs a stranger's code here: only who is known, and is trusted, also where submitting is open. Whoever may
 * submit has chosen what is built; a fork's pull request comes by itself.
 */
function mayApprove({ controller: { tokens } }: Served) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const person = await tokens.find(request.headers.authorization);
    if (!person)
      return refuse(
        reply.header("WWW-Authenticate", "Bearer"),
        401,
        "this needs a token of the role 'trusted'",
      );
    if (!mayAct(person, "trusted"))
      return refuse(reply, 403, `the token '${person.name}' has not the role 'trusted', which this needs`);
    request.approver = person.name;
  };
}

async function inWords(reply: FastifyReply, work: () => Promise<FastifyReply>): Promise<FastifyReply> {
  try {
    return await work();
  } catch (error) {
    assertFailure(error);
    return refuse(reply, statusOf(error), error.message, error.hints);
  }
}

function approvalJson({ id, repository, event, created_at }: EventRow): ApprovalAnswer {
  return {
    id,
    repository,
    pullRequest: Number(event.reference),
    commit: event.commit,
    author: event.author,
    subject: event.subject,
    from: event.pull?.from ?? null,
    into: event.pull?.base ?? null,
    createdAt: created_at.toISOString(),
  };
}
