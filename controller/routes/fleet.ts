/**
 * What the farm does. As JSON: agents, machines, targets, the queue; and pauses, which administrators make and end. For
 * monitoring: `/healthz` (the process answers), `/readyz` (and its database does, and it will go on), `/metrics` (Prometheus).
 */
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance, FastifyRequest, onRequestAsyncHookHandler } from "fastify";
import Type, { type Static } from "typebox";
import { Failure } from "../../os/failure.ts";
import { metricsContentType } from "../../os/metrics.ts";
import type { Build } from "../builds/build.ts";
import type { Controller } from "../controller.ts";
import type { AgentAnswer, PauseAnswer, TargetAnswer, TokenAnswer } from "../description/answers.ts";
import type { KnownAgent } from "../fleet/agents.ts";
import { inWords, pauseKinds, type Pause, type Paused } from "../fleet/pauses.ts";
import type { TargetState } from "../fleet/overview.ts";
import { buildJson } from "../representation.ts";
import { mayAdminister, mayRead } from "./access.ts";
import { answer } from "./api.ts";
import { seesPrivate } from "../secret-routes/readers.ts";
import { refuse, type Served } from "./served.ts";
import { oneOf } from "../one-of.ts";

const closed = { additionalProperties: false } as const;
const text = (maxLength: number) => Type.String({ pattern: "^[^\\u0000-\\u001f\\u007f]+$", maxLength });

const pausedSchema = { kind: oneOf(...pauseKinds), name: Type.Optional(text(200)) };
const pauseSchema = Type.Object({ ...pausedSchema, reason: Type.Optional(text(500)) }, closed);
export const resumeSchema = Type.Object(pausedSchema, closed);
/** What somebody wants paused or resumed. */
export type AskedPause = Static<typeof resumeSchema> & { reason?: string };
const queueSchema = Type.Object({ limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })) }, closed);

const typed = (server: FastifyInstance) => server.withTypeProvider<TypeBoxTypeProvider>();

/** Adds the routes. */
export function addFleetRoutes(untyped: FastifyInstance, served: Served): void {
  const server = typed(untyped);
  const { agents, overview, pauses } = served.controller;
  const reading = { onRequest: mayRead(served) };
  server.get("/api/v1/agents", reading, async (request) => {
    const withPrivate = await seesPrivate(served, request);
    const paused = new Map((await pauses.list()).map((pause) => [`${pause.kind} ${pause.name}`, pause]));
    const all = await agents.list(withPrivate);
    return { agents: all.map((agent) => agentJson(agent, paused.get(`agent ${agent.name}`))) };
  });
  server.get("/api/v1/token", async (request, reply) => {
    const person = await served.controller.tokens.find(request.headers.authorization);
    if (person) return { name: person.name, role: person.role } satisfies TokenAnswer;
    return refuse(reply.header("WWW-Authenticate", "Bearer"), 401, "the token is not known here");
  });
  server.get("/api/v1/machines", reading, async (request) => ({
    machines: await overview.machines(await seesPrivate(served, request)),
  }));
  server.get("/api/v1/targets", reading, async (request) => {
    const withPrivate = await seesPrivate(served, request);
    const states = await overview.targets(withPrivate);
    const reasons = await reasonsOf(served.controller, states, withPrivate);
    return { targets: states.map((state) => targetJson(state, reasons.get(state.name))) };
  });
  server.get("/api/v1/queue", { ...reading, schema: { querystring: queueSchema } }, async (request) => {
    const withPrivate = await seesPrivate(served, request);
    const { queued } = await served.controller.builds.count(withPrivate);
    const next = await overview.next(request.query.limit ?? 20, withPrivate);
    const reasons = await served.controller.waiting.ofAll(next, withPrivate);
    const json = (build: Build) => buildJson(build, served.publicUrl(request));
    return { queued, builds: next.map((build, at) => ({ ...json(build), waiting: reasons[at] ?? null })) };
  });
  server.get("/api/v1/pauses", reading, async () => ({ pauses: (await pauses.list()).map(pauseJson) }));
  const by = (request: FastifyRequest) => request.submitter ?? null;
  addPauseRoutes(untyped, served.controller, "/api/v1/pauses", { by, onRequest: mayAdminister(served) });
}

/** Adds the routes for monitoring. */
export function addMonitoring(server: FastifyInstance, served: Served): void {
  const { database, metrics, readiness } = served.controller;
  server.get("/healthz", (_request, reply) => reply.type("text/plain").send("ok\n"));

  server.get("/readyz", async (_request, reply) => {
    if (readiness.isEnding) return refuse(reply, 503, "this controller is about to end");
    try {
      await database.query("select 1");
    } catch {
      return refuse(reply, 503, "the database does not answer");
    }
    return reply.type("text/plain").send("ok\n");
  });

  server.get("/metrics", { onRequest: mayRead(served) }, async (request, reply) => {
    const withPrivate = await seesPrivate(served, request);
    return reply.type(metricsContentType).send(await metrics.format(withPrivate));
  });
}

/** Adds the routes that make and end pauses; `by` tells who asks. */
export function addPauseRoutes(
  untyped: FastifyInstance,
  controller: Controller,
  path: string,
  { by, onRequest }: { by: (request: FastifyRequest) => string | null; onRequest: onRequestAsyncHookHandler },
): void {
  const server = typed(untyped);
  server.post(path, { onRequest, schema: { body: pauseSchema } }, (request, reply) =>
    answer(reply, 201, async () => {
      return { paused: await makePause(controller, "pause", request.body, by(request)) };
    }),
  );
  server.delete(path, { onRequest, schema: { querystring: resumeSchema } }, (request, reply) =>
    answer(reply, 200, async () => {
      return { resumed: await makePause(controller, "resume", request.query, by(request)) };
    }),
  );
}

/**
 * Pauses or resumes what somebody asked for.
 *
 * @throws {Failure} if there is no such thing, or it is not paused.
 */
export async function makePause(
  { agents, builds, pauses, log }: Controller,
  verb: "pause" | "resume",
  { reason = null, ...asked }: Omit<AskedPause, "reason"> & { reason?: string | null },
  by: string | null,
): Promise<Paused> {
  const paused = pausedIn(verb, asked);
  if (verb === "resume") {
    await pauses.resume(paused);
    log.info({ ...paused, by }, "resumed");
    return paused;
  }
  if (paused.kind === "target") await builds.checkTarget(paused.name, `pause ${inWords(paused)}`);
  if (paused.kind === "agent" && !(await agents.list()).some(({ name }) => name === paused.name))
    throw new Failure(`pause ${inWords(paused)}`, "no agent of this name has been heard of here", {
      hints: ["See: croft agents"],
    });
  await pauses.pause(paused, reason, by);
  log.info({ ...paused, reason, by }, "paused");
  return paused;
}

function pausedIn(verb: string, { kind, name = "" }: Static<typeof resumeSchema>): Paused {
  if ((kind === "all") === (name === "")) return { kind, name };
  throw new Failure(
    `${verb} ${kind === "all" ? "all targets" : kind === "agent" ? "an agent" : "a target"}`,
    kind === "all" ? "there is a name" : "there is no name",
  );
}

function pauseJson({ kind, name, reason, paused_by, created_at }: Pause): PauseAnswer {
  return { kind, name: name === "" ? null : name, reason, by: paused_by, since: created_at.toISOString() };
}

function agentJson(
  { name, state, offer, version, heardAt, builds }: KnownAgent,
  pause: Pause | undefined,
): AgentAnswer {
  return {
    ...{ name, state, version },
    paused: pause ? pauseJson(pause) : null,
    heardAt: heardAt.toISOString(),
    toolchain: offer.toolchain,
    interactive: offer.interactive,
    machines: [...offer.machines],
    builds: builds.map(({ build, name, version, target, machine, since }) => ({
      ...{ id: build, name, version, target, machine },
      since: since.toISOString(),
    })),
  };
}

/** Of each target, why its oldest build waits. */
async function reasonsOf(
  { builds, waiting }: Controller,
  states: readonly TargetState[],
  withPrivate: boolean,
): Promise<ReadonlyMap<string, string | undefined>> {
  const oldest = new Map<string, Build>();
  for (const state of states) {
    const build = state.oldest && (await builds.find(state.oldest.id));
    if (build) oldest.set(state.name, build);
  }
  const reasons = await waiting.ofAll([...oldest.values()], withPrivate);
  return new Map([...oldest.keys()].map((name, at) => [name, reasons[at]]));
}

function targetJson(state: TargetState, reason: string | undefined): TargetAnswer {
  const { name, target, queued, building, finished, cancelled, oldest, pause, idleAgents } = state;
  return {
    name,
    machine: target?.machine ?? null,
    toolchain: target?.toolchain ?? null,
    timeoutSeconds: target?.timeoutSeconds ?? null,
    limit: target?.limit ?? null,
    paused: pause ? pauseJson(pause) : null,
    ...{ queued, building, finished, cancelled, idleAgents },
    oldest: oldest ? { id: oldest.id, queuedAt: oldest.queuedAt.toISOString() } : null,
    waiting: reason ?? null,
  };
}
