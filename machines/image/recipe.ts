/**
 * What a machine is made of: `recipe.yaml` in its revision, so that it can be made again with newer packages. What it says
 * is what `croft machine create` was told.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadYaml } from "../../os/command-line/yaml.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { DebianArchitecture } from "./architectures.ts";

/** `minimal`: a kernel and busybox; `debian`: a Debian with what packages are built with. */
export type ImageKind = "minimal" | "debian";

export interface Recipe {
  kind: ImageKind;
  /** Debian's code name, e.g. `bookworm`. */
  release: string;
  architecture: DebianArchitecture;
  /** Packages besides those of the kind. */
  include: readonly string[];
  diskGiB: number;
  /** One line that describes the machine. */
  summary: string;
  /** For a machine that serves the builds of others. */
  role?: "auxiliary";
  /** Run as root in the new system, once its packages are there. */
  script?: string;
}

export const recipeName = "recipe.yaml";

const packageName = "[a-z0-9][a-z0-9+.-]*(:[a-z0-9-]+)?";

/** Names of packages are words of command lines later. */
export const packagePattern = new RegExp(`^${packageName}$`);
export const releasePattern = /^[a-z]+$/;
export const diskMaximumGiB = 1024;

/** Writes the recipe into a revision that is being made. */
export async function writeRecipe(revision: string, recipe: Recipe): Promise<void> {
  await writeFile(join(revision, recipeName), formatRecipe(recipe), { mode: 0o644 });
}

function formatRecipe({ diskGiB, ...recipe }: Recipe): string {
  const { kind, release, architecture, include, summary, role, script } = recipe;
  const values = { kind, release, architecture, include, "disk-size": diskGiB, summary };
  const remark =
    "# What this machine was made of; `croft machine update` makes it again with newer packages.\n";
  return (
    remark + loadYaml().stringify({ ...values, ...withoutUndefined({ role, script }) }, { lineWidth: 0 })
  );
}
