/**
 * Where agents show that they hold sessions (`Croft-Alive-URL`), all of them in one request, and learn that nobody waits for
 * a result any more. The answer comes when there is one to tell, or after a while.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import {
  formatEndedSessions,
  parseSigns,
  type EndedSession,
  type SessionSign,
} from "../../manifests/own/signs.ts";
import { ChangeWaiter } from "../builds/noting/changes.ts";
import { isCurrent, type Session } from "../builds/session.ts";
import { RouteBodies } from "./body.ts";
import { waitOf } from "./long-poll.ts";
import { refuseManifest } from "./manifest.ts";
import { refuse, type Served } from "./served.ts";

const longestWaitSeconds = 15;
/** Some hundred sessions: what an agent may have, if its controller was away for long. */
const longestBytes = 64 * 1024;
const allBytes = 16 * 1024 * 1024;

/** Adds the route. */
export function addAliveRoute(server: FastifyInstance, served: Served): void {
  const options = { bodyLimit: longestBytes, config: { bodies: new RouteBodies(allBytes) } };
  server.post("/agent/alive", options, (request, reply) => takeSigns(served, request, reply));
}

async function takeSigns({ controller }: Served, request: FastifyRequest, reply: FastifyReply) {
  const { leases, sessions, changes, agentKeys } = controller;
  if (!Buffer.isBuffer(request.body)) return refuse(reply, 415, "the body must be text/manifest");
  let signs: SessionSign[];
  try {
    signs = parseSigns(request.body, { lenient: true });
  } catch (error) {
    return refuseManifest(reply, error);
  }
  const { milliseconds, signal } = waitOf(request, reply, longestWaitSeconds);
  const deadline = performance.now() + milliseconds;
  const tokens = signs.map(({ session }) => session);
  const found = await sessions.byToken(tokens);
  const isHeard = (session: Session | undefined) => session !== undefined && !agentKeys.isRevokedFor(session);
  await leases.sign(signs.filter(({ session }) => isHeard(found.get(session))));
  using waiter = new ChangeWaiter(changes, ["state"], new Set([...found.values()].map(({ build }) => build)));
  for (let now = await sessions.byToken(tokens); ; now = await sessions.byToken(tokens)) {
    const ended = tokens.flatMap((session): EndedSession[] => {
      const known = now.get(session);
      return known && isCurrent(known) ? [] : [{ session, state: known?.state ?? "unknown" }];
    });
    if (ended.length > 0) return reply.type("text/manifest").send(Buffer.from(formatEndedSessions(ended)));
    waiter.take();
    const leftMs = deadline - performance.now();
    const changed = leftMs > 0 && (await waiter.wait(leftMs, signal));
    if (!changed || signal.aborted) return reply.code(204).send();
  }
}
