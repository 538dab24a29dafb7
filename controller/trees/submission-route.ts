/**
 * `POST /api/v1/trees`: a working tree and what is to be built of it, as `multipart/form-data`: the field `submission`, JSON as for
 * `POST /api/v1/builds` but without a repository, and then the file `archive`. It is one request, so that nothing is kept of what
 * is not built; the archive is a blob that the builds refer to, and goes with the last of them.
 */
import type { MultipartFile } from "@fastify/multipart";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Static } from "typebox";
import Value from "typebox/value";
import { treeUrl } from "../../manifests/working-tree.ts";
import { treeMost } from "../../manifests/limits.ts";
import { assertFailure } from "../../os/failure.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { anybody, type Requester } from "../builds/clearances.ts";
import type { Submission } from "../builds/specification.ts";
import type { Controller } from "../controller.ts";
import type { Incoming } from "../files/blobs.ts";
import { buildJson } from "../representation.ts";
import { mayChange } from "../routes/access.ts";
import { checkSpace, statusOf } from "../routes/api.ts";
import { refuse, type Served } from "../routes/served.ts";
import { readSubmission } from "../routes/submission.ts";
import { checkedArchive, TreeFailure } from "./archive.ts";
import { treeSubmission } from "./form.ts";

const limits = { fields: 1, files: 1, parts: 2, fieldSize: 1 << 20, fileSize: treeMost.archiveBytes + 1 };

/** Adds the route. */
export function addTreeSubmission(server: FastifyInstance, served: Served): void {
  server.post("/api/v1/trees", { onRequest: mayChange(served) }, (request, reply) =>
    takeTree(served, request, reply),
  );
}

async function takeTree(served: Served, request: FastifyRequest, reply: FastifyReply) {
  try {
    if (!request.isMultipart()) throw new TreeFailure("it does not come as multipart/form-data", 415);
    request.bodyMayTakeLong?.();
    return reply.code(201).send(await takeParts(served, request));
  } catch (error) {
    assertFailure(error);
    await discard(request);
    const status = error instanceof TreeFailure ? error.status : statusOf(error);
    return refuse(reply, status, error.message, error.hints);
  }
}

async function takeParts(served: Served, request: FastifyRequest): Promise<object> {
  let submission: Submission | undefined;
  for await (const part of request.parts({ limits }))
    if (part.type === "field" && part.fieldname === "submission")
      submission = await checked(served.controller, part.value, request.requester ?? anybody);
    else if (part.type === "file" && part.fieldname === "archive" && submission)
      return await build(served, request, submission, part);
    else throw new TreeFailure("a field 'submission' and then a file 'archive' are expected");
  throw new TreeFailure("there is no file 'archive'");
}

/** Who sends more than the answer waits for would miss the answer; there is a bound to it. */
async function discard(request: FastifyRequest): Promise<void> {
  let left = treeMost.archiveBytes + limits.fieldSize;
  const { raw } = request;
  raw.unpipe();
  raw.on("data", (piece: Buffer) => {
    left -= piece.length;
    if (left < 0) raw.destroy();
  });
  if (raw.complete || raw.destroyed) return;
  await new Promise((resolve) => raw.once("end", resolve).once("close", resolve).resume());
}

/** Looks at all that can be known before the archive comes. */
async function checked(controller: Controller, text: unknown, requester: Requester): Promise<Submission> {
  const submission = read(text);
  await checkSpace(controller);
  await controller.builds.check({ ...submission, tree: "" }, requester);
  return submission;
}

function read(text: unknown): Submission {
  let given: unknown;
  try {
    given = JSON.parse(String(text));
  } catch {
    throw new TreeFailure("the field 'submission' is no JSON");
  }
  const [problem] = Value.Errors(treeSubmission, given);
  if (problem)
    throw new TreeFailure(`the field 'submission': ${problem.instancePath || "it"} ${problem.message}`);
  const { commit, changed, ...rest } = given as Static<typeof treeSubmission>;
  const repository = treeUrl(withoutUndefined({ name: rest.name, commit, isChanged: changed }));
  return { ...readSubmission({ ...rest, repository }, true), repositoryType: "pkg" };
}

async function build(
  served: Served,
  request: FastifyRequest,
  submission: Submission,
  { file }: MultipartFile,
): Promise<object> {
  const { blobs, builds } = served.controller;
  await using incoming: Incoming = await blobs.receive(checkedArchive(file));
  await blobs.keep([incoming]);
  const made = await builds.submit(
    { ...submission, tree: incoming.digest },
    request.submitter ?? null,
    request.requester,
  );
  return { builds: made.map((one) => buildJson(one, served.publicUrl(request))) };
}
