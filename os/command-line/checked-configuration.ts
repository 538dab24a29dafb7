import type { TSchema, Static } from "typebox";
import { Compile } from "typebox/compile";
import { parseConfiguration, readConfiguration, type Configuration } from "./configuration.ts";
import { UsageFailure, type FailureOptions } from "../failure.ts";

/** A configuration file that is as its schema says. */
interface CheckedConfiguration<T extends TSchema> {
  value: Static<T>;
  /** For what the schema cannot say: names file, line, column and key. */
  failure(path: readonly (string | number)[], reason: string, options?: FailureOptions): UsageFailure;
}

/**
 * Reads a YAML configuration file and checks it against a schema (unknown keys are errors where the schema says
 * `additionalProperties: false`).
 *
 * @throws {UsageFailure} naming file, line, column and key.
 */
export function readCheckedConfiguration<T extends TSchema>(file: string, schema: T): Static<T> {
  return checkedConfiguration(file, schema).value;
}

/** As {@link readCheckedConfiguration}, for who finds more wrong with it later. */
export function checkedConfiguration<T extends TSchema>(file: string, schema: T): CheckedConfiguration<T> {
  return checked(readConfiguration(file), file, schema);
}

/**
 * As {@link checkedConfiguration}, of a text that is there.
 *
 * @param file what it is called in messages.
 */
export function checkedText<T extends TSchema>(
  text: string,
  file: string,
  schema: T,
): CheckedConfiguration<T> {
  return checked(parseConfiguration(text, file), file, schema);
}

function checked<T extends TSchema>(
  configuration: Configuration,
  file: string,
  schema: T,
): CheckedConfiguration<T> {
  const failure = (path: readonly (string | number)[], reason: string, options: FailureOptions = {}) =>
    new UsageFailure(
      `use configuration '${file}'`,
      `${configuration.locate(path)}: ${path.length ? `${path.join(".")}: ` : ""}${reason}`,
      options,
    );
  const validator = Compile(schema);
  if (validator.Check(configuration.value)) return { value: configuration.value as Static<T>, failure };
  const [error] = validator.Errors(configuration.value);
  const path = pathOf(error?.instancePath ?? "");
  // An unknown key is reported by the schema `false` that stands for all keys not named, at the key's own path.
  const unknown = error?.keyword === "boolean";
  throw failure(path, unknown ? "unknown key" : (error?.message ?? "not as expected"));
}

function pathOf(pointer: string): (string | number)[] {
  return pointer
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part));
}
