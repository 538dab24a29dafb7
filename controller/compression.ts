/**
 * Pages and what they load, JSON and logs are compressed for who takes it. What is sent as it comes is not: a stream of events
 * would wait in the compressor. A page with a form has another value in it each time (routes/visitor.ts), so its length tells nothing.
 */
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import type { FastifyInstance } from "fastify";

const types = /^(?:text\/|application\/json|image\/svg)/;
/** What is shorter fits into one packet anyway. */
const shortest = 1400;

/** Adds the hook. */
export function compressAnswers(server: FastifyInstance): void {
  server.addHook("onSend", async (request, reply, payload) => {
    const isWhole = typeof payload === "string" || Buffer.isBuffer(payload);
    if (!isWhole || payload.length < shortest || reply.hasHeader("content-encoding")) return payload;
    if (!types.test(String(reply.getHeader("content-type")))) return payload;
    void reply.header("vary", [reply.getHeader("vary"), "accept-encoding"].filter(Boolean).join(", "));
    const [name, compress] = encodingFor(String(request.headers["accept-encoding"] ?? ""));
    if (name === undefined) return payload;
    void reply.header("content-encoding", name).removeHeader("content-length");
    return await compress(payload);
  });
}

const brotli = promisify(brotliCompress);
const gzipped = promisify(gzip);
const quick = { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } };

function encodingFor(accepted: string) {
  const takes = (name: string) =>
    new RegExp(`\\b${name}\\b(?!\\s*;\\s*q=0(?:\\.0*)?(?:[,\\s]|$))`, "i").test(accepted);
  if (takes("br")) return ["br", (payload: string | Buffer) => brotli(payload, quick)] as const;
  if (takes("gzip")) return ["gzip", (payload: string | Buffer) => gzipped(payload)] as const;
  return [undefined, (payload: string | Buffer) => Promise.resolve(payload)] as const;
}
