import { readFileSync } from "node:fs";
import { LineCounter, parseDocument, type Document, type Node } from "yaml";
import type { TSchema, Static } from "typebox";
import { Compile } from "typebox/compile";
import { UsageFailure, reasonOf } from "./failure.ts";

/** A YAML file as read: its plain value, and where each key stands. */
export interface Configuration {
  value: unknown;
  /** `file:line:column` of a key path such as `["targets", 0, "name"]`; of the nearest parent if it is not there. */
  locate(path: readonly (string | number)[]): string;
}

/**
 * Reads a YAML configuration file.
 *
 * @throws {UsageFailure} naming file, line and column if it cannot be read or is no valid YAML.
 */
export function readConfiguration(file: string): Configuration {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageFailure(`read configuration '${file}'`, reasonOf(error), { cause: error });
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const position = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const [error] = document.errors;
  if (error)
    throw new UsageFailure(`read configuration '${file}'`, `${position(error.pos[0])}: ${error.message}`);
  return {
    value: document.toJS() ?? {},
    locate: (path) => position(offsetOf(document, path)),
  };
}

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

function offsetOf(document: Document, path: readonly (string | number)[]): number {
  for (let length = path.length; length > 0; length--) {
    const parent = document.getIn(path.slice(0, length - 1), true) as { items?: unknown[] } | undefined;
    const key = path[length - 1];
    for (const item of parent?.items ?? []) {
      const pair = item as { key?: Node & { value?: unknown } };
      if (pair.key?.value === key && pair.key?.range) return pair.key.range[0];
    }
    const node = document.getIn(path.slice(0, length), true) as Node | undefined;
    if (node?.range) return node.range[0];
  }
  return 0;
}
