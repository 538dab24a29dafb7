/**
 * `POST /agent/tree/SESSION` (`Croft-Tree-URL`): the archive of the working tree that a session is to build, for the agent that has
 * the session and nobody else; where agents are known by keys, by a proof that it has its key.
 */
import type { FastifyInstance } from "fastify";
import { forCurrentSession } from "../routes/access.ts";
import { RouteBodies } from "../routes/body.ts";
import { refuse, type Served } from "../routes/served.ts";
import { doubtOf } from "../secret-routes/handing-out.ts";

/** The request has no body that says anything: who asks stands in its headers, and for what in its URL. */
const longestBody = 64;
const mostAtOnce = 1000;

/** Adds the route. */
export function addTreeHandingOut(server: FastifyInstance, served: Served): void {
  const { controller } = served;
  server.post(
    "/agent/tree/:session",
    {
      bodyLimit: longestBody,
      config: { bodies: new RouteBodies(mostAtOnce * longestBody) },
      onRequest: forCurrentSession(controller),
    },
    async (request, reply) => {
      const session = request.currentSession!;
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
      if (controller.agentKeys.isRequired) {
        const reason = await doubtOf(served, session.fingerprint ?? undefined, request, body);
        if (reason !== undefined) return refuse(reply, 401, reason);
      }
      const build = await controller.builds.find(session.build);
      if (session.state !== "active" || build?.session !== session.id)
        return refuse(reply, 410, "the session has not the build any more");
      if (build.tree === null) return refuse(reply, 404, "what the session builds is no working tree");
      controller.log.info({ build: build.id }, "working tree handed to an agent");
      const [blob] = await controller.database.query<{ bytes: number }>(
        "select bytes from croft.blobs where digest = $1",
        [build.tree],
      );
      return reply
        .header("cache-control", "no-store")
        .header("content-length", String(blob!.bytes))
        .type("application/octet-stream")
        .send(await controller.blobs.open(build.tree));
    },
  );
}
