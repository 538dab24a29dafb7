/** What agents ask: tasks, results and live logs, in manifests. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { randomTail } from "../../os/files/random-tail.ts";
import { writeDurably } from "../../os/files/durable.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { ManifestError } from "../../manifests/error.ts";
import { parseResultRequest, type ResultRequest } from "../../manifests/result-request.ts";
import { parseTaskRequest, type TaskRequest } from "../../manifests/task-request.ts";
import { formatTaskResponse, type TaskResponse } from "../../manifests/task-response.ts";
import { isSignatureOf } from "../authentication/agent-keys.ts";
import type { Controller } from "../controller.ts";
import type { Offer } from "../builds/offer.ts";
import { isCurrent, type Session } from "../builds/sessions.ts";
import { taskFor } from "../builds/tasks.ts";
import { refuse, type Served } from "./served.ts";

const taskRequestLimitBytes = 1 << 20;
const logChunkLimitBytes = 4 << 20;
const rejectedResultsKept = 16;
const longestValue = 500;
const mostOperations = 100;

/** Adds the routes under `/agent`, but for uploads. */
export function addAgentRoutes(server: FastifyInstance, served: Served): void {
  const { controller } = served;
  server.post("/agent/task", { bodyLimit: taskRequestLimitBytes }, (request, reply) =>
    answerTask(served, request, reply),
  );
  server.post("/agent/result", { bodyLimit: controller.configuration.resultLimitBytes }, (request, reply) =>
    takeResult(controller, request, reply),
  );
  server.post<{ Params: { session: string }; Querystring: { offset?: string } }>(
    "/agent/log/:session",
    { bodyLimit: logChunkLimitBytes },
    async (request, reply) => {
      const offset = /^\d{1,15}$/.test(request.query.offset ?? "") ? Number(request.query.offset) : undefined;
      if (offset === undefined) return refuse(reply, 400, "the query must say offset=BYTES");
      if (!Buffer.isBuffer(request.body))
        return refuse(reply, 415, "the body must be application/octet-stream");
      const session = await controller.sessions.find(request.params.session);
      if (!session || !isCurrent(session)) return refuse(reply, 410, "the session is over");
      const outcome = await controller.liveLogs.append(session.id, offset, request.body);
      if ("expectedOffset" in outcome) {
        reply.header("Croft-Log-Offset", String(outcome.expectedOffset));
        return refuse(reply, 409, `the next chunk is that at offset ${outcome.expectedOffset}`);
      }
      await controller.sessions.extend(session);
      if (outcome.appended > 0) controller.changes.announce("log", session.build);
      return reply.code(204).send();
    },
  );
}

async function answerTask(served: Served, request: FastifyRequest, reply: FastifyReply) {
  const { controller, publicUrl } = served;
  if (!Buffer.isBuffer(request.body)) return refuse(reply, 415, "the body must be text/manifest");
  let task: TaskRequest;
  try {
    task = parseTaskRequest(request.body, { lenient: true });
    checkLength("agent", task.agent);
    checkLength("toolchain-name", task.toolchainName);
    for (const { name } of task.machines) checkLength("name", name);
  } catch (error) {
    return refuseManifest(reply, error);
  }
  const refusal = await refusalOf(served, task.fingerprint, request, request.body);
  if (refusal) return refuse(reply, ...refusal);
  const offer: Offer = {
    agent: task.agent,
    toolchain: task.toolchainName,
    interactive: task.interactiveMode ?? "false",
    ...withoutUndefined({ fingerprint: task.fingerprint }),
    machines: task.machines.filter(({ role }) => role !== "auxiliary").map(({ name }) => name),
  };
  controller.waiting.note(offer);
  const assignment = await controller.sessions.assign(offer);
  reply.type("text/manifest");
  if (!assignment) return reply.send(Buffer.from(formatTaskResponse({ session: "", uploadUrls: {} })));
  controller.waiting.forget(offer);
  const { build, session } = assignment;
  const base = publicUrl(request);
  controller.log.info({ build: build.id, agent: task.agent, machine: session.machine }, "given to an agent");
  const response: TaskResponse = {
    session: session.token,
    ...withoutUndefined({ challenge: session.challenge ?? undefined }),
    resultUrl: `${base}/agent/result`,
    uploadUrls: Object.fromEntries(
      controller.configuration.uploadTypes.map((type) => [
        type,
        `${base}/agent/upload/${session.token}/${type}`,
      ]),
    ),
    task: taskFor(build.specification, session.machine),
  };
  reply.header("Croft-Log-URL", `${base}/agent/log/${session.token}`);
  reply.header("Croft-Upload", "files"); // other controllers take one archive at a time
  return reply.send(Buffer.from(formatTaskResponse(response)));
}

/** Why an agent is given nothing: a private controller wants more than a fingerprint, which anybody may know. */
async function refusalOf(
  { controller, proofUrls }: Served,
  fingerprint: string | undefined,
  request: FastifyRequest,
  body: Buffer,
): Promise<[status: number, reason: string] | undefined> {
  if (!controller.agentKeys) return undefined;
  if (fingerprint === undefined) return [401, "the request has no fingerprint"];
  const key = controller.agentKeys.get(fingerprint);
  if (!key) return [403, "the fingerprint is of no key that is known here"];
  if (!controller.configuration.private) return undefined;
  const header = request.headers["croft-proof"];
  const signed = { method: request.method, urls: proofUrls(request), body };
  const reason = await controller.proofs.refusal({ fingerprint, key }, header?.toString(), signed);
  return reason === undefined ? undefined : [401, reason];
}

async function takeResult(controller: Controller, request: FastifyRequest, reply: FastifyReply) {
  if (!Buffer.isBuffer(request.body)) return refuse(reply, 415, "the body must be text/manifest");
  let parsed: ResultRequest;
  try {
    parsed = parseResultRequest(request.body, { lenient: true });
    checkResult(parsed);
  } catch (error) {
    if (error instanceof ManifestError || error instanceof TooMuch)
      await keepRejected(controller, request.body);
    return refuseManifest(reply, error);
  }
  const session = await controller.sessions.find(parsed.session);
  if (!session) return refuse(reply, 410, "there is no such session");
  if (!isAuthentic(controller, session, parsed.challenge))
    return refuse(reply, 401, "the challenge is not signed with the agent's key");
  const { version, status, operations, workerChecksum, dependencyChecksum } = parsed.result;
  const outcome = await controller.results.store(session, {
    version,
    status,
    operations,
    ...withoutUndefined({ workerChecksum, dependencyChecksum, agentChecksum: parsed.agentChecksum }),
  });
  if (outcome === "gone") return refuse(reply, 410, `the session is ${session.state}`);
  return reply.code(204).send();
}

/** Whether the answer to the session's challenge is right; without keys there was no challenge. */
export function isAuthentic(
  { agentKeys }: Controller,
  session: Session,
  answer: string | undefined,
): boolean {
  if (session.challenge === null) return true;
  const key = agentKeys?.get(session.fingerprint ?? "");
  return key !== undefined && answer !== undefined && isSignatureOf(key, session.challenge, answer);
}

/** A manifest that is in order but for the size of something in it. */
class TooMuch extends Error {}

/** What is kept in the database and shown in every list has bounds; logs have their own. */
function checkLength(name: string, value = ""): void {
  if (value.length > longestValue)
    throw new TooMuch(`the value of '${name}' is longer than ${longestValue} characters`);
}

function checkResult({ result, agentChecksum }: ResultRequest): void {
  if (result.operations.length > mostOperations)
    throw new TooMuch(`there are more than ${mostOperations} operations`);
  checkLength("version", result.version);
  for (const { name } of result.operations) checkLength("operation", name);
  checkLength("worker-checksum", result.workerChecksum);
  checkLength("dependency-checksum", result.dependencyChecksum);
  checkLength("agent-checksum", agentChecksum);
}

function refuseManifest(reply: FastifyReply, error: unknown) {
  if (!(error instanceof ManifestError || error instanceof TooMuch)) throw error;
  return refuse(reply, 400, `invalid manifest: ${error.message}`);
}

/** The newest few results that could not be read stay for the operator, whoever sent them. */
async function keepRejected({ directory, log }: Controller, body: Buffer): Promise<void> {
  const name = `${new Date().toISOString().replaceAll(":", "-")}-${randomTail()}.manifest`;
  await writeDurably(join(directory.rejected, name), body);
  log.warn({ file: join(directory.rejected, name) }, "a result is no valid manifest; it is kept for a look");
  const names = (await readdir(directory.rejected)).sort();
  for (const old of names.slice(0, -rejectedResultsKept))
    await rm(join(directory.rejected, old), { force: true });
}
