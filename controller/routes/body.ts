/** Bodies of requests as bytes, of which all requests to a route together hold a bounded number. */
import type { IncomingMessage } from "node:http";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { resultRequestMaxBytes } from "../../manifests/limits.ts";
import { refuse } from "./served.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Bytes of the body in memory, while the request is answered. */
    heldBytes: number;
  }
  interface FastifyContextConfig {
    bodies?: RouteBodies;
  }
}

/** Answered instead of what the request asks for. */
export interface Refusal {
  status: number;
  reason: string;
  headers?: Record<string, string>;
}

/**
 * Whether more of a body is read, by its beginning: `more`: this is too little to tell; undefined: the rest is read.
 *
 * @param whole the body has no more than this.
 */
type Admission = (beginning: Buffer, whole: boolean) => Promise<Refusal | "more" | undefined>;

/** How the bodies of one route are read. */
export class RouteBodies {
  readonly totalBytes: number;
  readonly admit: Admission | undefined;
  held = 0;

  /** @param totalBytes in memory for all requests at a time; beyond it the answer is 503. */
  constructor(totalBytes: number, admit?: Admission) {
    this.totalBytes = totalBytes;
    this.admit = admit;
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

class RefusedBody {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    this.refusal = refusal;
  }
}

/** What is read on of a body that is too large: no agent sends more. */
const wastedMaxBytes = resultRequestMaxBytes;

/**
 * Reads bodies of these types whole, and of no others: each up to its route's limit, as {@link RouteBodies} says for the
 * route. What is refused by its beginning, or is too large, is read on and thrown away, at no cost but the line's: who closed instead would
 * cut off the answer, and the sender would send it all again.
 */
export function addBinaryBodies(server: FastifyInstance, types: string[]): void {
  server.decorateRequest("heldBytes", 0);
  server.removeAllContentTypeParsers(); // those for JSON and text read to the same limit, and ask nobody
  server.addContentTypeParser(types, readBody);
  server.addHook("preHandler", async ({ body }, reply) => {
    if (!(body instanceof RefusedBody)) return;
    const { status, reason, headers = {} } = body.refusal;
    return refuse(reply.headers(headers), status, reason);
  });
  server.addHook("onRequest", async (request, reply) => {
    const { bodies } = request.routeOptions.config;
    reply.raw.once("close", () => {
      if (bodies) bodies.held -= request.heldBytes;
    });
  });
}

async function readBody(request: FastifyRequest, payload: IncomingMessage): Promise<Buffer | RefusedBody> {
  const { bodyLimit: limit, config } = request.routeOptions;
  const bodies = config.bodies!;
  const pieces: Buffer[] = [];
  let bytes = 0;
  let admitted = bodies.admit === undefined;
  let lookAt = 0;
  const admit = async (whole: boolean) => {
    if (admitted || (bytes < lookAt && !whole)) return undefined;
    lookAt = 2 * bytes; // not after each byte, if they come one by one
    const answer = await bodies.admit!(Buffer.concat(pieces), whole);
    admitted = answer === undefined;
    if (admitted) request.bodyMayTakeLong?.();
    return typeof answer === "object" ? answer : undefined;
  };
  for await (const piece of payload.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > limit) {
      bodies.held -= request.heldBytes;
      request.heldBytes = 0;
      return discard(
        payload,
        { status: 413, reason: `the body is longer than ${limit} bytes` },
        wastedMaxBytes,
      );
    }
    pieces.push(piece);
    const refusal = await admit(false);
    if (refusal) return discard(payload, refusal, limit - bytes);
    if (!admitted) continue; // a beginning is small, and no stranger is to use up what the known share
    bodies.held += bytes - request.heldBytes;
    request.heldBytes = bytes;
    if (bodies.held > bodies.totalBytes)
      throw new BodyError(503, "too much is being received; try again later");
  }
  const refusal = await admit(true);
  return refusal ? new RefusedBody(refusal) : Buffer.concat(pieces);
}

/** Reads the rest of a body for nothing; whoever sends more than could be right is cut off. */
function discard(payload: IncomingMessage, refusal: Refusal, mostBytes: number): RefusedBody {
  let left = mostBytes;
  payload.on("data", (piece: Buffer) => {
    left -= piece.length;
    if (left < 0) payload.destroy();
  });
  return new RefusedBody(refusal);
}
