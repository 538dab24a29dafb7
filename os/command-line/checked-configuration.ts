import type { TSchema, Static } from "typebox";
import { Compile } from "typebox/compile";
import { readConfiguration } from "./configuration.ts";
import { UsageFailure } from "../failure.ts";

/**
 * Reads a YAML configuration file and checks it against a schema (unknown keys are errors where the schema says
 * `additionalProperties: false`).
 *
 * @throws {UsageFailure} naming file, line, column and key.
 */
export function readCheckedConfiguration<T extends TSchema>(file: string, schema: T): Static<T> {
  const configuration = readConfiguration(file);
  const validator = Compile(schema);
  if (validator.Check(configuration.value)) return configuration.value as Static<T>;
  const [error] = validator.Errors(configuration.value);
  const path = pathOf(error?.instancePath ?? "");
  // An unknown key is reported by the schema `false` that stands for all keys not named, at the key's own path.
  const unknown = error?.keyword === "boolean";
  const reason = unknown ? "unknown key" : (error?.message ?? "not as expected");
  throw new UsageFailure(
    `use configuration '${file}'`,
    `${configuration.locate(path)}: ${path.length ? `${path.join(".")}: ` : ""}${reason}`,
  );
}

function pathOf(pointer: string): (string | number)[] {
  return pointer
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part));
}
