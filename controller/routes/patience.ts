/** How long strangers may take to send what they begin: each holds a connection, and memory, for that long. */
import type { FastifyRequest } from "fastify";

declare module "fastify" {
  interface FastifyRequest {
    /** It is known whose body this is: it may take as long as a slow line needs. */
    bodyMayTakeLong: (() => void) | undefined;
  }
}

/** For the whole body of somebody who is not known. */
const strangersBodyMs = 60_000;

/** A hook for all requests, the first of them: a body that does not come in time ends its connection. */
export function bodiesInTime(patienceMs = strangersBodyMs) {
  return async (request: FastifyRequest) => {
    const { raw } = request;
    if (raw.complete) return; // there is none
    const timer = setTimeout(() => raw.destroy(), patienceMs);
    const stop = () => clearTimeout(timer);
    raw.once("end", stop).once("close", stop);
    request.bodyMayTakeLong = stop;
  };
}
