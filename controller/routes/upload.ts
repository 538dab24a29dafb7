/** Artifacts: the route that takes them, in the forms of upload-form.ts. Either all files of a request are kept or none. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { ReceivedFile } from "../builds/artifacts.ts";
import type { Controller } from "../controller.ts";
import { formatSections } from "../../manifests/sections.ts";
import type { Sql } from "../database/database.ts";
import { noteReports, readReports, reportType } from "../reports/test-reports.ts";
import { forCurrentSession } from "./access.ts";
import { refuse } from "./served.ts";
import { UploadError, UploadReader } from "./upload-form.ts";

interface UploadParameters {
  session: string;
  type: string;
}

const sessionOver = "the session is over";

/** Adds the route for uploads. */
export function addUploadRoute(server: FastifyInstance, controller: Controller): void {
  server.post<{ Params: UploadParameters }>(
    "/agent/upload/:session/:type",
    { onRequest: forCurrentSession(controller) },
    async (request, reply) => {
      try {
        return await takeUpload(controller, request, reply);
      } catch (error) {
        if (error instanceof UploadError)
          return error.ofArchive ? answerManifest(reply, error) : refuse(reply, error.status, error.message);
        if (!isMalformed(error)) throw error;
        return refuse(reply, 400, `the body is no multipart/form-data: ${error.message}`);
      }
    },
  );
}

async function takeUpload(
  controller: Controller,
  request: FastifyRequest<{ Params: UploadParameters }>,
  reply: FastifyReply,
) {
  const { type } = request.params;
  const session = request.currentSession!;
  if (!controller.configuration.uploadTypes.includes(type))
    throw new UploadError(404, `there is no upload type '${type}'`);
  const tooFull = await controller.space.reasonAgainst();
  if (tooFull !== undefined) throw new UploadError(507, tooFull);
  if (!request.isMultipart()) throw new UploadError(415, "the body must be multipart/form-data");
  await using received = new AsyncDisposableStack();
  const files: ReceivedFile[] = [];
  const upload = new UploadReader(controller, session);
  try {
    for await (const part of request.parts()) {
      const file = await upload.take(part);
      if (!file) continue;
      received.use(file.incoming);
      files.push(file);
    }
    upload.finish();
    if (files.length === 0) throw new UploadError(400, "there is no file in it");
    const reports =
      type === reportType ? await readReports(files, await controller.secrets.of(session.build)) : [];
    const note = (sql: Sql) => noteReports(sql, session.id, reports);
    if (!(await controller.artifacts.add(session, type, files, note)))
      throw new UploadError(410, sessionOver);
  } catch (error) {
    if (error instanceof UploadError) error.ofArchive = upload.isArchive;
    throw error;
  }
  await controller.leases.extend(session);
  controller.changes.announce("state", session.build);
  if (upload.isArchive) return answerManifest(reply, { status: 200, message: `${type} upload is kept` });
  return reply.code(204).send();
}

/** As other agents are answered by the controller that they know. */
function answerManifest(reply: FastifyReply, { status, message }: { status: number; message: string }) {
  const manifest = formatSections([
    [
      ["status", String(status)],
      ["message", message],
    ],
  ]);
  return reply.code(status).type("text/manifest; charset=utf-8").send(Buffer.from(manifest));
}

/** Errors of the parser have no code, only words: no boundary, a part without an end, a header that is none. */
function isMalformed(error: unknown): error is Error {
  return error instanceof Error && /^(Multipart: |Unexpected end of |Malformed )/.test(error.message);
}
