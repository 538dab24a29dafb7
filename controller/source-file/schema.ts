/** What a `.croft.yaml` may say. The reader, the schema for editors and the manual's table follow from this. */
import Type, { type Static, type TSchema } from "typebox";
import { variables } from "../secrets/reserved-variables.ts";
import { auxiliaryMaximum, auxiliaryNamePattern } from "../builds/auxiliary.ts";

const closed = { additionalProperties: false } as const;
const name = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,49}$";
const list = <T extends TSchema>(items: T, maxItems: number, description: string) =>
  Type.Optional(Type.Array(items, { minItems: 1, maxItems, uniqueItems: true, description }));

/** Of builds in one file. */
const mostBuilds = 50;

/** What each build may say; at the top of the file: what is so of all that do not say it. */
const buildKeys = {
  targets: list(
    Type.String({ pattern: "^[A-Za-z0-9_+.@*?-]{1,100}$" }),
    100,
    "Names or patterns of targets, of those that the controller has for the repository; default: all of them",
  ),
  versions: list(
    Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9_.+~:-]{0,99}$" }),
    20,
    "One build for each, which has it as $CROFT_VERSION; default: one build, of no version",
  ),
  environment: Type.Optional(
    Type.String({ pattern: "^[!-~]{1,200}$", description: "The environment inside of the machine" }),
  ),
  config: Type.Optional(
    Type.String({
      pattern: "^[ -~]*$",
      maxLength: 10_000,
      description: "Arguments for the package's configuration",
    }),
  ),
  variables: Type.Optional(
    variables({
      description:
        "What builds have in their environment; a build's own come beside those at the top, and win",
    }),
  ),
  auxiliary: Type.Optional(
    Type.Record(
      Type.String({ pattern: auxiliaryNamePattern }),
      Type.String({ pattern: "^[A-Za-z0-9_+.*?-]{1,100}$" }),
      {
        ...closed,
        maxProperties: auxiliaryMaximum,
        description:
          "Auxiliary machines by what the build calls them: names or patterns, of those that the controller has for the repository",
      },
    ),
  ),
  notifications: Type.Optional(
    Type.Array(Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9_.-]{0,49}$" }), {
      maxItems: 50,
      uniqueItems: true,
      description:
        "Who is told of the builds: names, of those that the controller has for the repository; default: all of them",
    }),
  ),
  artifacts: Type.Optional(
    Type.Object(
      {
        keep: Type.Optional(
          Type.Boolean({
            description: "Keep the build with its artifacts whatever its age; of pushes and tags only",
          }),
        ),
      },
      { ...closed, description: "What becomes of the artifacts" },
    ),
  ),
};

const build = Type.Object(
  {
    name: Type.String({
      pattern: name,
      description: "What it is called: package NAME-THIS, status croft/THIS/TARGET",
    }),
    ...buildKeys,
    needs: list(
      Type.String({ pattern: name }),
      mostBuilds,
      "Names of builds that have to succeed before this one is queued",
    ),
  },
  closed,
);

const schedule = Type.Object(
  {
    cron: Type.String({
      pattern: "^[A-Za-z0-9*/,?#L -]{1,100}$",
      description: "When: minute, hour, day of the month, month, day of the week",
    }),
    zone: Type.Optional(
      Type.String({
        pattern: "^[A-Za-z0-9_+/-]{1,64}$",
        description: "Time zone of the times, such as Europe/Berlin; default: UTC",
      }),
    ),
    builds: list(Type.String({ pattern: name }), mostBuilds, "Names of builds; default: all, as a push"),
  },
  closed,
);

/** The whole file. */
export const sourceFileSchema = Type.Object(
  {
    ...buildKeys,
    // Not as unique items: that there are two of a name is told with that.
    builds: Type.Optional(
      Type.Array(build, {
        minItems: 1,
        maxItems: mostBuilds,
        description: "The builds of a commit; default: one, as the keys beside this say",
      }),
    ),
    schedule: list(schedule, 20, "When the repository's usual branch is built, whatever comes to it"),
  },
  closed,
);

/** As it stands in a file. */
export type SourceFile = Static<typeof sourceFileSchema>;
/** When something is built by itself. */
export type Schedule = Static<typeof schedule>;

/** As a JSON schema, by which editors complete and check what one writes. */
export function editorSchema(): object {
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: ".croft.yaml",
    description: "What croft builds of a repository, and how",
    ...sourceFileSchema,
  };
}
