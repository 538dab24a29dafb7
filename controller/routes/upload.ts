/**
 * Artifacts: `multipart/form-data` with the fields `session`, `challenge` (the signature, where keys are used), and
 * for each file a field `sha256` right before the part `file`. Either all files of a request are kept or none.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Multipart, MultipartFile } from "@fastify/multipart";
import type { ReceivedFile } from "../builds/artifacts.ts";
import type { Controller } from "../controller.ts";
import type { Session } from "../builds/session.ts";
import { forCurrentSession, isAuthentic } from "./access.ts";
import { visible } from "../../os/text/visible.ts";
import { refuse } from "./served.ts";

interface UploadParameters {
  session: string;
  type: string;
}

const sessionOver = "the session is over";

/** Why an upload is refused. */
class UploadError extends Error {
  readonly status: number;

  constructor(status: number, reason: string) {
    super(reason);
    this.status = status;
  }
}

/** Adds the route for uploads. */
export function addUploadRoute(server: FastifyInstance, controller: Controller): void {
  server.post<{ Params: UploadParameters }>(
    "/agent/upload/:session/:type",
    { onRequest: forCurrentSession(controller) },
    async (request, reply) => {
      try {
        return await takeUpload(controller, request, reply);
      } catch (error) {
        if (error instanceof UploadError) return refuse(reply, error.status, error.message);
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
  if (!request.isMultipart()) throw new UploadError(415, "the body must be multipart/form-data");
  await using received = new AsyncDisposableStack();
  const files: ReceivedFile[] = [];
  const upload = new UploadReader(controller, session);
  for await (const part of request.parts()) {
    const file = await upload.take(part);
    if (file) files.push({ name: file.name, incoming: received.use(file.incoming) });
  }
  upload.finish();
  if (files.length === 0) throw new UploadError(400, "there is no file in it");
  if (!(await controller.artifacts.add(session, type, files))) throw new UploadError(410, sessionOver);
  await controller.sessions.extend(session);
  controller.changes.announce("state", session.build);
  return reply.code(204).send();
}

/** Checks the parts of an upload as they come: nothing is read from an agent that has not shown who it is. */
class UploadReader {
  readonly #controller: Controller;
  readonly #session: Session;
  #signature: string | undefined;
  #digest: string | undefined;
  #authentic = false;

  constructor(controller: Controller, session: Session) {
    this.#controller = controller;
    this.#session = session;
  }

  async take(part: Multipart): Promise<ReceivedFile | undefined> {
    if (part.type === "file") return await this.#receive(part);
    const value = typeof part.value === "string" ? part.value : "";
    if (part.fieldname === "session" && value !== this.#session.token)
      throw new UploadError(400, "the field 'session' is not the URL's");
    if (part.fieldname === "challenge") this.#signature = value;
    if (part.fieldname === "sha256") this.#digest = value.toLowerCase();
    return undefined;
  }

  async #receive(part: MultipartFile): Promise<ReceivedFile> {
    this.#authenticate();
    const name = part.filename;
    if (!isFileName(name))
      throw new UploadError(400, `a file has no usable name: ${JSON.stringify(visible(name))}`);
    const digest = this.#digest;
    this.#digest = undefined;
    if (digest === undefined || !/^[0-9a-f]{64}$/.test(digest))
      throw new UploadError(400, `there is no SHA-256 in a field 'sha256' before the file '${name}'`);
    const incoming = await this.#controller.blobs.receive(part.file);
    if (part.file.truncated || incoming.digest !== digest) {
      await incoming[Symbol.asyncDispose]();
      if (part.file.truncated) throw new UploadError(413, `the file '${name}' is too large`);
      throw new UploadError(400, `the content of '${name}' does not have the SHA-256 announced`);
    }
    return { name, incoming };
  }

  finish(): void {
    this.#authenticate();
  }

  #authenticate(): void {
    this.#authentic ||= isAuthentic(this.#controller, this.#session, this.#signature);
    if (!this.#authentic) throw new UploadError(401, "the challenge is not signed with the agent's key");
  }
}

/** Errors of the parser have no code, only words: no boundary, a part without an end, a header that is none. */
function isMalformed(error: unknown): error is Error {
  return error instanceof Error && /^(Multipart: |Unexpected end of |Malformed )/.test(error.message);
}

/** Control characters, those that turn the direction of what follows, and others that end lines or paths elsewhere. */
const misleading = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\\]/;

/** A path inside of the artifacts, shown to people and made a name to save under. */
function isFileName(name: string): boolean {
  if (name.length === 0 || name.length > 500 || name.startsWith("/")) return false;
  if (misleading.test(name)) return false;
  return name.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}
