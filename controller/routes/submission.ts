/** What a submission may say, to the JSON interface and in the form of the pages. */
import Type, { type Static } from "typebox";
import { guessRepositoryType, isLocalUrl } from "../../manifests/repository.ts";
import { isTreeUrl } from "../../manifests/working-tree.ts";
import { breakpointProblem } from "../../manifests/task.ts";
import { Failure } from "../../os/failure.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { auxiliaryMaximum, auxiliaryNamePattern } from "../builds/auxiliary.ts";
import { isReserved, variableNamePattern, variables } from "../secrets/reserved-variables.ts";
import type { Submission } from "../builds/specification.ts";
import { oneOf } from "../one-of.ts";

const closed = { additionalProperties: false } as const;

// The manifest format has no place for blanks in these, nor for control characters anywhere.
export const word = (maxLength: number) => Type.String({ pattern: "^[!-~\\u00a1-\\ud7ff]+$", maxLength });
const line = Type.String({ pattern: "^[ -~\\u00a1-\\ud7ff]*$", maxLength: 10_000 });
const pattern = Type.String({ pattern: "^[A-Za-z0-9_+.@*?-]+$", maxLength: 100 });

export const submissionSchema = Type.Object(
  {
    name: word(200),
    version: Type.Optional(word(200)),
    repository: word(2000),
    // Not "dir", which manifests have, too: a directory is local, and agents build from a URL only.
    type: Type.Optional(oneOf("pkg", "git")),
    targets: Type.Optional(Type.Array(pattern, { minItems: 1, maxItems: 100 })),
    machine: Type.Optional(pattern),
    auxiliary: Type.Optional(
      Type.Record(Type.String({ pattern: auxiliaryNamePattern }), pattern, {
        maxProperties: auxiliaryMaximum,
      }),
    ),
    environment: Type.Optional(word(200)),
    config: Type.Optional(line),
    interactive: Type.Optional(Type.String({ pattern: "^[!-~]+( [ -~]*[!-~])?$", maxLength: 500 })),
    variables: Type.Optional(variables()),
    depth: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
    secrets: Type.Optional(
      Type.Array(Type.String({ pattern: variableNamePattern }), {
        maxItems: 50,
        uniqueItems: true,
      }),
    ),
    priority: Type.Optional(Type.Integer({ minimum: -10_000, maximum: 10_000 })),
    force: Type.Optional(Type.Boolean()),
    cell: Type.Optional(
      Type.Object(
        {
          row: word(200),
          column: Type.Integer({ minimum: 0, maximum: 1_000_000 }),
          title: Type.Optional(Type.String({ maxLength: 200 })),
        },
        closed,
      ),
    ),
  },
  closed,
);

/** By it the worker knows how many commits of the history it is to fetch (worker/guest/parts/62-git.sh). */
const depthVariable = "CROFT_GIT_DEPTH";

/**
 * What is to be submitted, completed.
 *
 * @param isTree whether it comes with a working tree.
 * @throws {Failure} if agents could not build it.
 */
export function readSubmission(body: Static<typeof submissionSchema>, isTree = false): Submission {
  const { name, version = "0", repository, type, targets = ["*"], config, priority = 0, ...rest } = body;
  if (isLocalUrl(repository))
    throw new Failure(
      `submit ${name}`,
      `the repository '${repository}' is local; agents build from a URL only`,
      { hints: ["A directory of yours is sent as it is by: croft submit DIRECTORY"] },
    );
  if (!isTree && isTreeUrl(repository))
    throw new Failure(`submit ${name}`, "a working tree is sent, and has no URL", {
      hints: ["Try: croft submit DIRECTORY"],
    });
  const trouble = rest.interactive === undefined ? undefined : breakpointProblem(rest.interactive);
  if (trouble !== undefined) throw new Failure(`submit ${name}`, trouble);
  const [reserved] = Object.keys(rest.variables ?? {}).filter(isReserved);
  if (reserved !== undefined)
    throw new Failure(`submit ${name}`, `a build has a variable '${reserved}' already`);
  const [twice] = (rest.secrets ?? []).filter((secret) => Object.hasOwn(rest.variables ?? {}, secret));
  if (twice !== undefined) throw new Failure(`submit ${name}`, `'${twice}' is both a variable and a secret`);
  const { variables: named, depth, ...more } = rest;
  if (depth !== undefined && (type ?? guessRepositoryType(repository)) !== "git")
    throw new Failure(`submit ${name}`, "an archive has no history of commits, and so no depth");
  const given = { ...named, ...(depth === undefined ? {} : { [depthVariable]: String(depth) }) };
  return {
    name,
    version,
    repository,
    ...withoutUndefined({ repositoryType: type }),
    targets,
    ...withoutUndefined({ configuration: config }),
    ...more,
    // None at all is what agents of any version can do.
    ...(Object.keys(given).length > 0 ? { variables: given } : {}),
    priority,
  };
}
