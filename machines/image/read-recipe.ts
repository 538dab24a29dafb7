/** Reads what a machine was made of. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Type } from "typebox";
import { readCheckedConfiguration } from "../../os/command-line/checked-configuration.ts";
import { Failure } from "../../os/failure.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { debianArchitectures } from "./architectures.ts";
import { diskMaximumGiB, packagePattern, recipeName, releasePattern, type Recipe } from "./recipe.ts";

const schema = Type.Object(
  {
    kind: Type.Enum(["minimal", "debian"]),
    release: Type.String({ pattern: releasePattern.source }),
    architecture: Type.Enum(debianArchitectures),
    include: Type.Optional(Type.Array(Type.String({ pattern: packagePattern.source }))),
    "disk-size": Type.Integer({ minimum: 1, maximum: diskMaximumGiB }),
    summary: Type.String(),
    role: Type.Optional(Type.Literal("auxiliary")),
    script: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
);

/**
 * Reads the recipe of a revision.
 *
 * @throws {Failure} if it has none, or one that is not understood.
 */
export function readRecipe(name: string, revision: string): Recipe {
  const file = join(revision, recipeName);
  if (!existsSync(file))
    throw new Failure(`update machine '${name}'`, `'${revision}' has no ${recipeName}`, {
      hints: [
        "Only machines made by 'croft machine create' have one, and of earlier versions of croft none: make it anew.",
      ],
    });
  const {
    "disk-size": diskGiB,
    include = [],
    role,
    script,
    ...rest
  } = readCheckedConfiguration(file, schema);
  return { ...rest, diskGiB, include, ...withoutUndefined({ role, script }) } as Recipe;
}
