/**
 * `POST /agent/secrets/SESSION` (`Croft-Secrets-URL`): what the machine of a session is given that nobody else may know. Only the
 * agent that has the session is answered, by a proof that it has its key (manifests/own/proof.ts), and only over a connection that
 * nobody on the way can read.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { isLoopback, isUnreadOnItsWay } from "../../os/network/listen-address.ts";
import { assertFailure } from "../../os/failure.ts";
import type { Build } from "../builds/build.ts";
import type { Controller } from "../controller.ts";
import { forCurrentSession } from "../routes/access.ts";
import { RouteBodies } from "../routes/body.ts";
import { refuse, type Served } from "../routes/served.ts";

/** The request has no body that says anything: who asks stands in its headers, and for what in its URL. */
const longestBody = 64;
const mostAtOnce = 1000;

/** Adds the route. */
export function addHandingOut(server: FastifyInstance, served: Served): void {
  const { controller } = served;
  server.post(
    "/agent/secrets/:session",
    {
      bodyLimit: longestBody,
      config: { bodies: new RouteBodies(mostAtOnce * longestBody) },
      onRequest: forCurrentSession(controller),
    },
    async (request, reply) => {
      const session = request.currentSession!;
      if (!isUnread(served, request))
        return refuse(reply, 403, "secrets are not sent over a connection that others can read");
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
      const reason = await doubtOf(served, session.fingerprint ?? undefined, request, body);
      if (reason !== undefined) return refuse(reply, 401, reason);
      const build = await controller.builds.find(session.build);
      if (session.state !== "active" || build?.session !== session.id)
        return refuse(reply, 410, "the session has not the build any more");
      return await answer(controller, build, reply);
    },
  );
}

async function answer({ vault, log }: Controller, build: Build, reply: FastifyReply) {
  const { id, repository, specification, is_trusted: isTrusted } = build;
  try {
    const handed = await vault.handOut({ id, repository, names: specification.secrets ?? [], isTrusted });
    log.info({ build: id, secrets: specification.secrets ?? [] }, "secrets handed to an agent");
    return reply.header("cache-control", "no-store").type("text/manifest").send(Buffer.from(handed));
  } catch (error) {
    assertFailure(error);
    log.error({ build: id, reason: error.message }, "secrets cannot be handed out");
    return refuse(reply, 409, error.message, error.hints);
  }
}

/**
 * Why a request is not believed to be of the agent with the fingerprint; it is asked once, as a proof counts once.
 *
 * @param isUrgent whether the answer may not wait for those to other requests.
 */
export async function doubtOf(
  { controller, proofUrls }: Served,
  fingerprint: string | undefined,
  request: FastifyRequest,
  body: Buffer,
  isUrgent = true,
): Promise<string | undefined> {
  const key = controller.agentKeys.get(fingerprint ?? "");
  if (!key || fingerprint === undefined) return "the agent's key is not known here";
  const signed = { method: request.method, urls: proofUrls(request), body };
  const header = request.headers["croft-proof"]?.toString();
  return await controller.proofs.refusal({ fingerprint, key }, header, signed, isUrgent);
}

/** Encrypted, by this controller or by what stands before it, or within the host; also where the agent is told to ask. */
export function isUnread({ publicUrl }: Served, request: FastifyRequest): boolean {
  if (!isUnreadOnItsWay(publicUrl(request))) return false;
  return request.protocol === "https" || isLoopback(request.ip.replace(/^::ffff:(?=\d+\.)/, ""));
}
