/** Requests that agents keep open. */
import type { FastifyReply, FastifyRequest } from "fastify";

/**
 * How long an answer may wait: as the client would have it (RFC 7240, 4.3), if that is not too long, and until it is gone.
 */
export function waitOf(
  request: FastifyRequest,
  reply: FastifyReply,
  longestSeconds: number,
): { milliseconds: number; signal: AbortSignal } {
  const wanted = String(request.headers["prefer"] ?? "");
  const [, given] = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})"?/i.exec(wanted) ?? [];
  const seconds = Math.min(given === undefined ? longestSeconds : Number(given), longestSeconds);
  const left = new AbortController();
  reply.raw.once("close", () => left.abort());
  reply.header("Cache-Control", "no-store").header("Preference-Applied", `wait=${seconds}`);
  return { milliseconds: seconds * 1000, signal: left.signal };
}
