import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Target } from "../matrix/matrix.ts";

const fileName = ".croft-architectures.json";

/** Architectures of targets that have been built, by name: reports are made without what the tree says of its boards. */
export function readArchitectures(output: string): Map<string, string> {
  try {
    const entries = Object.entries(JSON.parse(readFileSync(join(output, fileName), "utf8")) as object);
    return new Map(entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"));
  } catch {
    return new Map(); // there are none, or they are told as if they were all alike
  }
}

/** Adds to what is known. A failure is none of the run: only reports are the poorer for it. */
export function noteArchitectures(output: string, targets: readonly Target[]): void {
  const known = readArchitectures(output);
  if (targets.every(({ name, arch }) => known.get(name) === arch)) return;
  for (const { name, arch } of targets) known.set(name, arch);
  try {
    const path = join(output, fileName);
    writeFileSync(`${path}.new`, JSON.stringify(Object.fromEntries(known)));
    renameSync(`${path}.new`, path);
  } catch {
    // see above
  }
}
