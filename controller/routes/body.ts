/** Bodies of requests as bytes, of which all requests together hold a bounded number. */
import type { IncomingMessage } from "node:http";
import type { FastifyInstance, FastifyRequest } from "fastify";

declare module "fastify" {
  interface FastifyRequest {
    /** Bytes of the body in memory, while the request is answered. */
    heldBytes: number;
  }
}

/** A request that cannot be read now or at all. */
class BodyError extends Error {
  readonly statusCode: number;

  constructor(statusCode: number, reason: string) {
    super(reason);
    this.statusCode = statusCode;
  }
}

/**
 * Reads bodies of these types whole: each up to its route's limit, together up to `totalBytes`, beyond which the
 * answer is 503. The sender of a result shows who it is in the body only, so strangers could fill the memory.
 */
export function addBinaryBodies(server: FastifyInstance, types: string[], totalBytes: number): void {
  let held = 0;
  server.decorateRequest("heldBytes", 0);
  server.addHook("onRequest", async (request, reply) => {
    reply.raw.once("close", () => (held -= request.heldBytes));
  });
  server.addContentTypeParser(types, async (request: FastifyRequest, payload: IncomingMessage) => {
    const limit = request.routeOptions.bodyLimit;
    const pieces: Buffer[] = [];
    for await (const piece of payload as AsyncIterable<Buffer>) {
      request.heldBytes += piece.length;
      held += piece.length;
      if (request.heldBytes > limit) throw new BodyError(413, `the body is longer than ${limit} bytes`);
      if (held > totalBytes) throw new BodyError(503, "too much is being received; try again later");
      pieces.push(piece);
    }
    return Buffer.concat(pieces);
  });
}
