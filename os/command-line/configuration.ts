import { readFileSync } from "node:fs";
import type { Document, Node } from "yaml";
import { UsageFailure, reasonOf } from "../failure.ts";
import { loadYaml } from "./yaml.ts";

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
  return parseConfiguration(text, file);
}

/**
 * As {@link readConfiguration}, of a text that is there.
 *
 * @param file what it is called in messages.
 * @throws {UsageFailure} naming file, line and column if it is no valid YAML.
 */
export function parseConfiguration(text: string, file: string): Configuration {
  const { LineCounter, parseDocument, visit, isScalar } = loadYaml();
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const position = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const fail = (offset: number, reason: string) =>
    new UsageFailure(`use configuration '${file}'`, `${position(offset)}: ${reason}`);
  const [error] = document.errors;
  if (error) throw fail(error.pos[0], error.message);
  // The library would compare each key with each other: a fifth of all the time for thousands of targets.
  visit(document, {
    Map(_, { items }) {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        if (!isScalar(key)) continue;
        const at = key.range?.[0] ?? 0;
        if (seen.has(key.value)) throw fail(at, `${keyAt(text, at)}: the key stands there twice`);
        seen.add(key.value);
      }
    },
  });
  return {
    value: plainValue(document, (reason) => fail(0, reason)),
    locate: (path) => position(offsetOf(document, path)),
  };
}

function keyAt(text: string, offset: number): string {
  return /[^\s:]*/.exec(text.slice(offset))![0];
}

/** Aliases are found out only here: ones without an anchor, and too many of them. */
function plainValue(document: Document, fail: (reason: string) => UsageFailure): unknown {
  try {
    return document.toJS() ?? {};
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    throw fail(error.message);
  }
}

function offsetOf(document: Document, path: readonly (string | number)[]): number {
  for (let length = path.length; length > 0; length--) {
    const parent = document.getIn(path.slice(0, length - 1), true) as { items?: unknown[] } | undefined;
    const key = path[length - 1];
    for (const item of parent?.items ?? []) {
      const pair = item as { key?: Node & { value?: unknown } };
      if (pair.key?.range && String(pair.key.value) === key) return pair.key.range[0];
    }
    const node = document.getIn(path.slice(0, length), true) as Node | undefined;
    if (node?.range) return node.range[0];
  }
  return 0;
}
