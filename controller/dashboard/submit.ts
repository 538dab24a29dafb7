/** From the fields of the form to a submission. */
import type { FastifyRequest } from "fastify";
import type { Static } from "typebox";
import { packageNameFrom } from "../../manifests/repository.ts";
import { Failure } from "../../os/failure.ts";
import type { Submission } from "../builds/specification.ts";
import { inWords } from "../routes/in-words.ts";
import { readSubmission, submissionSchema } from "../routes/submission.ts";

const texts = ["repository", "name", "version", "machine", "environment", "config"] as const;

/**
 * What a form asks for; a field that is empty is not there.
 *
 * @throws {Failure} if it is not as it should be.
 */
export function submitFrom(
  fields: Readonly<Record<string, string | string[] | undefined>>,
  request: FastifyRequest,
): Submission {
  const given: Record<string, unknown> = {};
  for (const name of texts) {
    const value = fields[name];
    if (typeof value === "string" && value.trim() !== "") given[name] = value.trim();
  }
  const repository = given["repository"];
  if (typeof repository !== "string") throw new Failure("submit", "the repository's URL is missing");
  const name = given["name"] ?? packageNameFrom(repository);
  if (name === undefined) throw new Failure("submit", `'${repository}' tells no name: give the package one`);
  const targets = [fields["targets"] ?? []].flat();
  const body = { ...given, name, ...(targets.length > 0 ? { targets } : {}) };
  const check = request.compileValidationSchema(submissionSchema);
  if (check(body)) return readSubmission(body as Static<typeof submissionSchema>);
  const [error] = check.errors ?? [];
  throw new Failure(`submit ${String(name)}`, error ? inWords(error, "form") : "the form is not as expected");
}
