/** What may stand in `croft.yaml`. */
import type { TSchema } from "typebox";
import { readConfiguration } from "../../os/command-line/configuration.ts";
import { fitsSchema, type PlainSchema } from "../../os/command-line/plain-schema.ts";

/** How a target is built, in the configuration's words. */
interface RecipeFile {
  configure?: string;
  build: string;
  sizes?: string;
  "config-files"?: string[];
  images?: string[];
  outputs?: string[];
}

/** The file as it stands, checked. */
export interface BossFile {
  hosts?: Record<string, { ssh?: string; "max-builds"?: number; "work-dir"?: string } | null>;
  "work-dir"?: string;
  toolchains?: Record<string, string>;
  recipe?: string | RecipeFile;
  targets?: Record<string, { arch?: string } | null>;
  "worker-command"?: string;
  settings?: Record<string, unknown>;
  output?: string;
}

const text = { type: "string" } as const;
const word = { type: "string", minLength: 1 } as const;
const texts = { type: "array", items: text } as const;
const none = { type: "null" } as const;
const named = (schema: PlainSchema) => ({ type: "object", additionalProperties: schema }) as const;
const only = (properties: Readonly<Record<string, PlainSchema>>, ...required: string[]) =>
  ({ type: "object", properties, required, additionalProperties: false }) as const;

const host = only({
  ssh: text,
  "max-builds": { type: "integer", minimum: 1, maximum: 10_000 },
  "work-dir": word,
});

const recipe = only(
  { configure: text, build: word, sizes: text, "config-files": texts, images: texts, outputs: texts },
  "build",
);

/** The same, for values that nobody has checked. */
export const bossFileSchema: PlainSchema = only({
  hosts: named({ anyOf: [host, none] }),
  "work-dir": word,
  toolchains: named(word),
  recipe: { anyOf: [text, recipe] },
  targets: named({ anyOf: [only({ arch: word }), none] }),
  "worker-command": word,
  settings: { type: "object", additionalProperties: true },
  output: word,
});

/** @throws {UsageFailure} naming file, line, column and key. */
export async function readCheckedBossFile(path: string): Promise<BossFile> {
  const { value } = readConfiguration(path);
  if (fitsSchema(value, bossFileSchema)) return value as BossFile;
  const { readCheckedConfiguration } = await import("../../os/command-line/checked-configuration.ts");
  return readCheckedConfiguration(path, bossFileSchema as TSchema) as BossFile;
}
