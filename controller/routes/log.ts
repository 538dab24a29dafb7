/** Logs and artifacts of builds, whole or as they come. */
import { basename } from "node:path";
import { Readable } from "node:stream";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance, FastifyReply } from "fastify";
import Type from "typebox";
import type { Controller } from "../controller.ts";
import { ChangeWaiter } from "../builds/noting/changes.ts";
import { answerWithEvents, type EventStream } from "../event-stream.ts";
import { follow, type LogPosition } from "../follow.ts";
import { buildJson, mainSession, readDetails, type BuildDetails } from "../representation.ts";
import { wholeCharacters } from "../utf8.ts";
import { mayRead } from "./access.ts";
import { buildParameters } from "./api.ts";
import { mayReadBuild, seesPrivate } from "../secret-routes/readers.ts";
import { refuse, type Served } from "./served.ts";

const logSchema = Type.Object(
  {
    attempt: Type.Optional(Type.Integer({ minimum: 1 })),
    operation: Type.Optional(Type.String({ maxLength: 200 })),
    kind: Type.Optional(Type.Union([Type.Literal("live"), Type.Literal("result")])),
  },
  { additionalProperties: false },
);

const artifactParameters = Type.Object({
  id: buildParameters.properties.id,
  digest: Type.String({ pattern: "^[0-9a-f]{64}$" }),
  "*": Type.String(),
});

const pingMs = 15_000;

/** Adds the routes for logs, events and artifacts. */
export function addLogRoutes(untyped: FastifyInstance, served: Served): void {
  const server = untyped.withTypeProvider<TypeBoxTypeProvider>();
  const { controller } = served;
  const reading = { onRequest: mayReadBuild(served) };
  const readingArtifacts = {
    onRequest: mayReadBuild(served, (reply) => refuse(reply, 404, "the build has no such artifact")),
  };
  const followingBuild = {
    onRequest: [...mayReadBuild(served), ...served.following],
    exposeHeadRoute: false,
  };
  const following = { onRequest: [mayRead(served), ...served.following], exposeHeadRoute: false };

  server.get(
    "/api/v1/builds/:id/log",
    { ...reading, schema: { params: buildParameters, querystring: logSchema } },
    async (request, reply) => {
      const details = await readDetails(controller, request.params.id, await seesPrivate(served, request));
      if (!details) return refuse(reply, 404, `there is no build ${request.params.id}`);
      return await sendLog(controller, details, request.query, reply);
    },
  );

  server.get(
    "/api/v1/builds/:id/events",
    { ...followingBuild, schema: { params: buildParameters } },
    async (request, reply) => {
      const { id } = request.params;
      if (!(await controller.followed.look(id))) return refuse(reply, 404, `there is no build ${id}`);
      const from = positionOf(request.headers["last-event-id"]);
      await answerWithEvents(reply, controller.log, (stream) =>
        sendEvents(controller, id, served.publicUrl(request), from, stream),
      );
    },
  );

  server.get("/api/v1/events", following, async (request, reply) => {
    const withPrivate = await seesPrivate(served, request);
    await answerWithEvents(reply, controller.log, (stream) => sendChanges(controller, withPrivate, stream));
  });

  server.get(
    "/api/v1/builds/:id/artifacts/:digest/*",
    { ...readingArtifacts, schema: { params: artifactParameters } },
    async (request, reply) => {
      const artifact = await controller.artifacts.find(
        request.params.id,
        request.params.digest,
        request.params["*"],
      );
      if (!artifact) return refuse(reply, 404, "the build has no such artifact");
      const content = await controller.artifacts.open(artifact);
      const name = encodeURIComponent(basename(artifact.name)).replaceAll("'", "%27");
      return reply
        .header("content-disposition", `attachment; filename*=UTF-8''${name}`)
        .header("content-length", artifact.bytes)
        .header("x-content-type-options", "nosniff")
        .header("etag", `"${artifact.digest}"`)
        .type("application/octet-stream")
        .send(content);
    },
  );
}

/** The result's logs if there is a result, else the live log; or the one that was asked for. */
async function sendLog(
  controller: Controller,
  { build, sessions, operations }: BuildDetails,
  asked: { attempt?: number; operation?: string; kind?: "live" | "result" },
  reply: FastifyReply,
) {
  const session =
    asked.attempt === undefined
      ? mainSession({ build, sessions })
      : sessions.find(({ attempt }) => attempt === asked.attempt);
  if (!session && (asked.attempt ?? asked.operation) !== undefined)
    return refuse(reply, 404, `build ${build.id} has no attempt ${asked.attempt ?? 1}`);
  const wanted = operations.filter(
    (one) => one.session === session?.id && (asked.operation === undefined || one.name === asked.operation),
  );
  const [first] = wanted;
  if (asked.operation !== undefined && first === undefined)
    return refuse(reply, 404, `the attempt has no operation '${asked.operation}'`);
  reply.type("text/plain; charset=utf-8").header("x-content-type-options", "nosniff");
  if (asked.operation !== undefined && first)
    return reply.send(await controller.blobs.open(first.log_digest));
  const live = asked.kind === "live" || (asked.kind === undefined && wanted.length === 0);
  if (!live && first) {
    const opened = await controller.blobs.open(first.log_digest);
    return reply.send(Readable.from(headed(controller, wanted, opened)));
  }
  if (!session || (await controller.liveLogs.size(session.id)) === 0) return reply.send("");
  return reply.send(controller.liveLogs.source(session.id).read(0, Infinity));
}

/** The logs one after the other, each under a heading; the first is open. */
async function* headed(
  controller: Controller,
  operations: BuildDetails["operations"],
  opened: Readable,
): AsyncGenerator<Buffer> {
  for (const [at, { name, status, log_digest }] of operations.entries()) {
    const log = at === 0 ? opened : controller.blobs.read(log_digest);
    yield Buffer.from(`==> ${name}: ${status}\n`);
    let last: number | undefined;
    for await (const chunk of log as AsyncIterable<Buffer>) {
      last = chunk.at(-1);
      yield chunk;
    }
    if (last !== undefined && last !== 0x0a) yield Buffer.from("\n");
  }
}

/**
 * Events: `state` (the build, and the attempt that works on it), `log` (`attempt`, `offset` in bytes, `text`), and
 * `end`. An event's id is `SESSION:OFFSET`, where the next piece of the log starts.
 */
async function sendEvents(
  controller: Controller,
  id: number,
  base: string,
  from: LogPosition | undefined,
  stream: EventStream,
) {
  let cut: { session: number; bytes: Buffer } = { session: 0, bytes: Buffer.alloc(0) };
  for await (const event of follow(controller, id, from, stream.signal)) {
    if (event.kind === "idle") await stream.ping();
    else if (event.kind === "end") await stream.send("end", buildJson(event.build, base));
    else if (event.kind === "state") {
      const attempt = event.session && { attempt: event.session.attempt, ...whereabouts(event.session) };
      await stream.send("state", { build: buildJson(event.build, base), attempt: attempt ?? null });
    } else {
      // A character may be cut by the end of a piece; whoever resumes there must get it whole.
      const { session, position } = event;
      const bytes = cut.session === session.id ? Buffer.concat([cut.bytes, event.bytes]) : event.bytes;
      const whole = wholeCharacters(bytes);
      cut = { session: session.id, bytes: bytes.subarray(whole) };
      const piece = {
        attempt: session.attempt,
        offset: position.offset - bytes.length,
        text: bytes.toString("utf8", 0, whole),
      };
      await stream.send("log", piece, `${session.id}:${position.offset - cut.bytes.length}`);
    }
  }
}

function whereabouts({ agent, machine, state }: { agent: string; machine: string; state: string }) {
  return { agent, machine, state };
}

/** `build` events for changes of builds' states: `id`; several changes of one build may be told as one. */
async function sendChanges(
  { changes, builds }: Controller,
  withPrivate: boolean,
  stream: EventStream,
): Promise<void> {
  using waiter = new ChangeWaiter(changes, ["state"]);
  while (!stream.signal.aborted) {
    if (!(await waiter.wait(pingMs, stream.signal))) await stream.ping();
    const changed = [...waiter.take()];
    for (const id of withPrivate ? changed : await builds.publicOf(changed))
      await stream.send("build", { id });
  }
}

function positionOf(lastEventId: string | string[] | undefined): LogPosition | undefined {
  const match = /^(\d{1,10}):(\d{1,15})$/.exec(String(lastEventId ?? ""));
  return match ? { session: Number(match[1]), offset: Number(match[2]) } : undefined;
}
