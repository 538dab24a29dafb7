/** Results of agents: who sends one is looked at before its log is read, let alone parsed or kept. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { ManifestError } from "../../manifests/error.ts";
import { excessOf } from "../../manifests/limits.ts";
import {
  parseResultRequest,
  readResultSender,
  type ResultRequest,
  type ResultSender,
} from "../../manifests/result-request.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { BuildResult } from "../builds/results.ts";
import { isCurrent, type Session } from "../builds/session.ts";
import type { Controller } from "../controller.ts";
import { keepRejected } from "../files/rejected.ts";
import { maskWhole } from "../files/secret-mask.ts";
import { isAuthentic } from "./access.ts";
import { RouteBodies, type Refusal } from "./body.ts";
import { checkLength, refuseManifest, TooMuch } from "./manifest.ts";
import { refuse } from "./served.ts";

/** How many results of the largest size may be in memory, or as many bytes in smaller ones. */
const resultsAtOnce = 4;
/** The header of a result request has three short values. */
const longestHeaderBytes = 64 * 1024;

/** Adds the route. */
export function addResultRoute(server: FastifyInstance, controller: Controller): void {
  const { resultLimitBytes } = controller.configuration;
  const admit = (beginning: Buffer, whole: boolean) => admitResult(controller, beginning, whole);
  server.post(
    "/agent/result",
    {
      bodyLimit: resultLimitBytes,
      config: { bodies: new RouteBodies(resultsAtOnce * resultLimitBytes, admit) },
    },
    (request, reply) => takeResult(controller, request, reply),
  );
}

async function admitResult(
  controller: Controller,
  beginning: Buffer,
  whole: boolean,
): Promise<Refusal | "more" | undefined> {
  let sender: ResultSender | undefined;
  try {
    const isAll = whole && beginning.length <= longestHeaderBytes;
    sender = readResultSender(beginning.subarray(0, longestHeaderBytes), isAll);
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    return { status: 400, reason: `invalid manifest: ${error.message}` };
  }
  if (sender) return await refusalOf(controller, sender);
  if (whole || beginning.length >= longestHeaderBytes)
    return { status: 400, reason: `there is no session in its first ${longestHeaderBytes} bytes` };
  return "more";
}

/** The session of whoever proves to be its agent. */
async function provenSession(
  controller: Controller,
  { session: token, challenge }: ResultSender,
): Promise<Session | Refusal> {
  const session = await controller.sessions.find(token);
  if (!session) return { status: 410, reason: "there is no such session" };
  if (isAuthentic(controller, session, challenge)) return session;
  return { status: 401, reason: "the challenge is not signed with the agent's key" };
}

async function refusalOf(controller: Controller, sender: ResultSender): Promise<Refusal | undefined> {
  const session = await provenSession(controller, sender);
  if ("reason" in session) return session;
  // A finished session's may be the same result once more.
  if (!isCurrent(session) && session.state !== "finished")
    return {
      status: 410,
      reason: `the session is ${session.state}`,
      headers: { "Croft-Session": session.state },
    };
  return undefined;
}

async function takeResult(controller: Controller, request: FastifyRequest, reply: FastifyReply) {
  if (!Buffer.isBuffer(request.body)) return refuse(reply, 415, "the body must be text/manifest");
  let parsed: ResultRequest;
  try {
    parsed = parseResultRequest(request.body, { lenient: true });
    checkResult(parsed);
  } catch (error) {
    if (error instanceof ManifestError || error instanceof TooMuch)
      await keep(controller, request.body, error);
    return refuseManifest(reply, error);
  }
  const session = await provenSession(controller, parsed);
  if ("reason" in session) return refuse(reply, session.status, session.reason);
  const { version, workerChecksum, dependencyChecksum } = parsed.result;
  const outcome = await controller.results.store(session, {
    version,
    ...(await withoutLost(controller, session, parsed, request.headers["croft-artifacts"])),
    ...withoutUndefined({ workerChecksum, dependencyChecksum, agentChecksum: parsed.agentChecksum }),
  });
  if (outcome === "gone") {
    const { state } = (await controller.sessions.find(session.token)) ?? session; // by now
    return refuse(reply.header("Croft-Session", state), 410, `the session is ${state}`);
  }
  controller.agents.ended(session.agent);
  // Not the same once more; and whatever comes of it, the result is taken.
  if (isCurrent(session)) await measure(controller, session).catch(() => {});
  return reply.code(204).send();
}

/** A result whose artifacts came after the backup that this controller has its data from tells nothing: it is built again. */
async function withoutLost(
  { artifacts }: Controller,
  { id, restored }: Session,
  { result: { status, operations } }: ResultRequest,
  told: string | string[] | undefined,
): Promise<Pick<BuildResult, "status" | "operations">> {
  const lost = restored ? Number(told ?? 0) - (await artifacts.countOf(id)) : 0;
  if (!(lost > 0)) return { status, operations };
  const log = `${lost} of its artifacts were lost when this controller was restored from a backup\n`;
  return { status: "abort", operations: [...operations, { name: "controller", status: "abort", log }] };
}

async function measure(
  { builds, sessions, metrics }: Controller,
  { build: id, token }: Session,
): Promise<void> {
  const [build, session] = [await builds.find(id), await sessions.find(token)];
  if (build && session) metrics.took(build, session);
}

/** What a known session sent is evidence. */
async function keep(
  { sessions, secrets, directory, log }: Controller,
  body: Buffer,
  error: Error,
): Promise<void> {
  const sender = readResultSender(body.subarray(0, longestHeaderBytes), false);
  const session = sender && (await sessions.find(sender.session));
  if (!session) return;
  maskWhole(body, await secrets.of(session.build));
  const file = await keepRejected(directory, session, body);
  const { build, agent } = session;
  log.warn({ build, agent, file, reason: error.message }, "a result cannot be read; it is kept for a look");
}

function checkResult({ result, agentChecksum }: ResultRequest): void {
  const excess = excessOf(result, "agent");
  if (excess !== undefined) throw new TooMuch(excess);
  checkLength("agent-checksum", agentChecksum);
}
