/** What may stand in `croft.yaml`. In a file of its own: what checks it takes longer to load than all else of a short run. */
import { Type, type Static } from "typebox";
import { readCheckedConfiguration } from "../../os/command-line/checked-configuration.ts";

const strict = { additionalProperties: false } as const;
const count = (maximum: number) => Type.Integer({ minimum: 1, maximum });

const hostSchema = Type.Object(
  {
    ssh: Type.Optional(Type.String()),
    "max-builds": Type.Optional(count(10_000)),
    "work-dir": Type.Optional(Type.String({ minLength: 1 })),
  },
  strict,
);

const recipeSchema = Type.Object(
  {
    configure: Type.Optional(Type.String()),
    build: Type.String({ minLength: 1 }),
    sizes: Type.Optional(Type.String()),
    "config-files": Type.Optional(Type.Array(Type.String())),
    images: Type.Optional(Type.Array(Type.String())),
    outputs: Type.Optional(Type.Array(Type.String())),
  },
  strict,
);

const schema = Type.Object(
  {
    hosts: Type.Optional(Type.Record(Type.String(), Type.Union([hostSchema, Type.Null()]))),
    "work-dir": Type.Optional(Type.String({ minLength: 1 })),
    toolchains: Type.Optional(Type.Record(Type.String(), Type.String({ minLength: 1 }))),
    recipe: Type.Optional(Type.Union([Type.String(), recipeSchema])),
    targets: Type.Optional(
      Type.Record(
        Type.String(),
        Type.Union([
          Type.Object({ arch: Type.Optional(Type.String({ minLength: 1 })) }, strict),
          Type.Null(),
        ]),
      ),
    ),
    "worker-command": Type.Optional(Type.String({ minLength: 1 })),
    settings: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    output: Type.Optional(Type.String({ minLength: 1 })),
  },
  strict,
);

/** The file as it stands, checked. */
export type BossFile = Static<typeof schema>;

/** @throws {UsageFailure} naming file, line, column and key. */
export function readCheckedBossFile(path: string): BossFile {
  return readCheckedConfiguration(path, schema);
}
