import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Compilers } from "../hosts/compilers.ts";

const fileName = ".croft-compilers.json";

/** The compilers of each host as they were when it last built for this output directory; none, if that is not known. */
export function compilersSeen(output: string): Map<string, Compilers> {
  try {
    const all = Object.entries(JSON.parse(readFileSync(join(output, fileName), "utf8")) as object);
    return new Map(all.filter((entry): entry is [string, Compilers] => isCompilers(entry[1])));
  } catch {
    return new Map();
  }
}

/** Adds to what is known; what cannot be written down is not told next time. */
export function noteCompilers(output: string, now: ReadonlyMap<string, Compilers>): void {
  const known = compilersSeen(output);
  for (const [host, compilers] of now) known.set(host, { ...known.get(host), ...compilers });
  try {
    const path = join(output, fileName);
    writeFileSync(`${path}.new`, JSON.stringify(Object.fromEntries(known)));
    renameSync(`${path}.new`, path);
  } catch {
    // see above
  }
}

function isCompilers(value: unknown): value is Compilers {
  return (
    typeof value === "object" &&
    value !== null &&
    Object.values(value).every((version) => typeof version === "string")
  );
}
