/** What agents ask for, and send while they build: tasks and live logs. */
import { createHash } from "node:crypto";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { logChunkBytes, taskRequestMaxBytes } from "../../manifests/limits.ts";
import { parseTaskRequest, type TaskRequest } from "../../manifests/task-request.ts";
import { formatTaskResponse, type TaskResponse } from "../../manifests/task-response.ts";
import type { Build } from "../builds/build.ts";
import type { Offer } from "../builds/offer.ts";
import { auxiliaryOfferOf } from "../builds/auxiliary.ts";
import type { Assignment, BuiltWith } from "../builds/sessions.ts";
import { taskFor } from "../builds/tasks.ts";
import { unchangedSince, type Checksums } from "../builds/unchanged.ts";
import type { Controller } from "../controller.ts";
import { leaseSeconds } from "../leases/signs.ts";
import { forCurrentSession } from "./access.ts";
import { RouteBodies } from "./body.ts";
import { checkLength, refuseManifest } from "./manifest.ts";
import { refuse, type Served } from "./served.ts";
import { doubtOf, isUnread } from "../secret-routes/handing-out.ts";
import { agentCan, isForeign, versionOf } from "./croft-agent.ts";

/** Of all task requests together; nobody knows yet who sends one, so they share with nothing else. */
const taskRequestsBytes = 8 * taskRequestMaxBytes;
const logChunksBytes = 32 * logChunkBytes.taken;

/** Adds the routes for tasks and live logs. */
export function addAgentRoutes(server: FastifyInstance, served: Served): void {
  const { controller } = served;
  const tasks = { bodyLimit: taskRequestMaxBytes, config: { bodies: new RouteBodies(taskRequestsBytes) } };
  server.post("/agent/task", tasks, (request, reply) => answerTask(served, request, reply));

  server.post<{ Params: { session: string }; Querystring: { offset?: string } }>(
    "/agent/log/:session",
    {
      bodyLimit: logChunkBytes.taken,
      config: { bodies: new RouteBodies(logChunksBytes) },
      onRequest: forCurrentSession(controller),
    },
    async (request, reply) => {
      const offset = /^\d{1,15}$/.test(request.query.offset ?? "") ? Number(request.query.offset) : undefined;
      if (offset === undefined) return refuse(reply, 400, "the query must say offset=BYTES");
      if (!Buffer.isBuffer(request.body))
        return refuse(reply, 415, "the body must be application/octet-stream");
      const session = request.currentSession!;
      const secrets = await controller.secrets.of(session.build);
      const outcome = await controller.liveLogs.append(session.id, offset, request.body, secrets);
      if ("expectedOffset" in outcome) {
        reply.header("Croft-Log-Offset", String(outcome.expectedOffset));
        return refuse(reply, 409, `the next chunk is that at offset ${outcome.expectedOffset}`);
      }
      await controller.leases.extend(session);
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
    task = readTaskRequest(request.body);
  } catch (error) {
    return refuseManifest(reply, error);
  }
  const most = { mayHavePrivate: true, takesTrees: true };
  // Who waits asks once a minute all the same: for a thousand of them that is not to cost a query each.
  const mayWait = agentCan(request, "wake");
  const hopes = !mayWait || controller.wakeUps.mayBeFor({ ...offerOf(task, request), ...most });
  const doubt = await doubtOf(served, task.fingerprint, request, request.body, hopes);
  const refusal = refusalOf(served, task.fingerprint, doubt);
  if (refusal) return refuse(reply, ...refusal);
  const mayHavePrivate = doubt === undefined && agentCan(request, "secrets") && isUnread(served, request);
  // A fingerprint alone is no proof of whose agent it is.
  const takesTrees = agentCan(request, "trees") && (!controller.agentKeys.isRequired || doubt === undefined);
  const offer = {
    ...offerOf(task, request),
    ...(mayHavePrivate ? { mayHavePrivate } : {}),
    ...(takesTrees ? { takesTrees } : {}),
  };
  // A paused one waits for nothing: it asks again by itself, in a minute.
  const isPaused = (await controller.pauses.ofAgent(offer.agent)) !== undefined;
  if (isPaused) controller.waiting.forget(offer);
  else controller.waiting.note(offer);
  const wakeToken = mayWait
    ? await controller.offers.tokenFor(offer, offer.fingerprint ?? request.ip)
    : undefined;
  const signsSeconds = agentCan(request, "alive") ? leaseSeconds : undefined;
  const mayBe = !isPaused && (wakeToken === undefined || controller.wakeUps.mayBeFor(offer));
  const assignment = mayBe
    ? await controller.sessions.assign(offer, signsSeconds, builtWith(task))
    : undefined;
  const wake = wakeToken === undefined ? undefined : { token: wakeToken, host: hostDigest(task.agent) };
  if (wake) controller.wakeUps.came(wake);
  const base = publicUrl(request);
  reply.type("text/manifest");
  controller.agents.asked(offer, versionOf(request), !assignment);
  if (!assignment) {
    if (wake && !isPaused)
      reply.header("Croft-Wake-URL", `${base}/agent/wake/${wake.token}?host=${wake.host}`);
    return reply.send(Buffer.from(formatTaskResponse({ session: "", uploadUrls: {} })));
  }
  controller.waiting.forget(offer);
  const { build, session } = assignment;
  controller.metrics.given(build);
  controller.log.info({ build: build.id, agent: task.agent, machine: session.machine }, "given to an agent");
  const response = await responseFor(controller, assignment, base);
  reply.header("Croft-Log-URL", `${base}/agent/log/${session.token}`);
  // What somebody's working tree leaves in caches is for nobody else.
  if (build.is_trusted && build.tree === null) reply.header("Croft-Trust", "yes");
  if (mayHaveSecrets(build)) reply.header("Croft-Secrets-URL", `${base}/agent/secrets/${session.token}`);
  if (build.tree !== null) reply.header("Croft-Tree-URL", `${base}/agent/tree/${session.token}`);
  if (signsSeconds !== undefined) reply.header("Croft-Alive-URL", `${base}/agent/alive`);
  reply.header("Croft-Upload", "files"); // other controllers take one archive at a time
  // Also to who has not said so, if a person may think for as long as the lease lasts: the machine must be gone then.
  if (agentCan(request, "timeout") || build.specification.interactive !== undefined)
    reply.header("Croft-Timeout", String(controller.sessions.timeoutSeconds(build)));
  // A machine that it has failed before was there to be looked at; one on each host that tries again is too many. One that has
  // secrets is not there for anybody.
  if (build.aborts > 0 || build.is_private) reply.header("Croft-Suspend", "no");
  return reply.send(Buffer.from(formatTaskResponse(response)));
}

async function responseFor(
  { configuration, database }: Controller,
  { build, session }: Assignment,
  base: string,
): Promise<TaskResponse> {
  const unchanged: Partial<Checksums> = (await unchangedSince(database, build, session)) ?? {};
  const { agentChecksum, ...checksums } = unchanged;
  return {
    session: session.token,
    ...withoutUndefined({ challenge: session.challenge ?? undefined, agentChecksum }),
    resultUrl: `${base}/agent/result`,
    uploadUrls: Object.fromEntries(
      configuration.uploadTypes.map((type) => [type, `${base}/agent/upload/${session.token}/${type}`]),
    ),
    task: { ...taskFor(build.specification, session.machine, session.auxiliary ?? {}), ...checksums },
  };
}

function builtWith({ machines, toolchainVersion }: TaskRequest): BuiltWith {
  const ids = machines
    .filter(({ role }) => role !== "auxiliary")
    .map(({ name, id }): [string, string] => [name, id]);
  return { machineIds: new Map(ids), toolchainVersion };
}

function readTaskRequest(body: Buffer): TaskRequest {
  const task = parseTaskRequest(body, { lenient: true });
  checkLength("agent", task.agent);
  checkLength("toolchain-name", task.toolchainName);
  for (const { name } of task.machines) checkLength("name", name);
  return task;
}

function offerOf(task: TaskRequest, request: FastifyRequest): Offer {
  return {
    agent: task.agent,
    isForeign: isForeign(request),
    ...(agentCan(request, "variables") ? { takesVariables: true } : {}),
    toolchain: task.toolchainName,
    interactive: task.interactiveMode ?? "false",
    ...withoutUndefined({ fingerprint: task.fingerprint }),
    machines: task.machines.filter(({ role }) => role !== "auxiliary").map(({ name }) => name),
    ...auxiliaryOfferOf(task),
  };
}

/** Of those that are private, a working tree may be so for itself alone. */
function mayHaveSecrets({ is_private: isPrivate, tree, specification: { secrets = [] } }: Build): boolean {
  return isPrivate && (tree === null || secrets.length > 0);
}

/** Tells hosts apart whose offers are the same; names may be long, and anything. */
function hostDigest(name: string): string {
  return createHash("sha256").update(name).digest("base64url").slice(0, 16);
}

/** Why an agent is given nothing: a private controller wants more than a fingerprint, which anybody may know. */
function refusalOf(
  { controller }: Served,
  fingerprint: string | undefined,
  doubt: string | undefined,
): [status: number, reason: string] | undefined {
  if (!controller.agentKeys.isRequired) return undefined;
  if (fingerprint === undefined) return [401, "the request has no fingerprint"];
  if (!controller.agentKeys.get(fingerprint)) return [403, "the fingerprint is of no key that is known here"];
  return controller.configuration.private && doubt !== undefined ? [401, doubt] : undefined;
}
