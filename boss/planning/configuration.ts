/** `croft.yaml` in the source tree: hosts, toolchains, targets, and how a target is built. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { Type, type Static } from "typebox";
import { readCheckedConfiguration } from "../../os/command-line/checked-configuration.ts";
import { UsageFailure } from "../../os/failure.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { checkDestination, checkHostName, type Host } from "../hosts/hosts.ts";

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

const defaultFileName = "croft.yaml";

const mostBytes = 1024 * 1024;

/**
 * `croft.yaml` of the source tree, if there is one.
 *
 * @throws {UsageFailure} if it is nothing that could be read to its end, such as a link to a device.
 */
export function foundConfiguration(source: string): string | undefined {
  const path = join(source, defaultFileName);
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) return undefined;
  if (status.isFile() && status.size <= mostBytes) return path;
  throw new UsageFailure(
    `read configuration '${path}'`,
    status.isFile() ? `it is longer than ${mostBytes} bytes` : "it is no file",
  );
}

/**
 * Reads the configuration; without a file to read, an empty one.
 *
 * @param file given by the user; undefined: {@link foundConfiguration}.
 * @throws {UsageFailure} naming file, line, column and key.
 */
export function readBossFile(file: string | undefined, source: string): BossFile {
  const path = file ?? foundConfiguration(source);
  return path === undefined ? {} : readCheckedConfiguration(path, schema);
}

/**
 * The hosts of the configuration.
 *
 * @throws {UsageFailure} for a name or destination that cannot be one.
 */
export function configuredHosts(file: BossFile, workDirectory: string): Host[] {
  return Object.entries(file.hosts ?? {}).map(([name, settings]) => {
    const destination = settings?.ssh ?? name;
    const wrong = checkHostName(name) ?? checkDestination(destination);
    if (wrong !== undefined) throw new UsageFailure(`use host '${name}'`, wrong);
    const maxBuilds = settings?.["max-builds"];
    return {
      name,
      destination,
      workDirectory: settings?.["work-dir"] ?? workDirectory,
      ...withoutUndefined({ maxBuilds }),
    };
  });
}
