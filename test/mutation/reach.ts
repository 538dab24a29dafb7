/** Which tests can notice a fault in a file: those that import it, be it around corners. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The tests that reach the file, those that are nearest to it first; all of them if none does. */
export function testsThatReach(file: string, tests: readonly string[]): readonly string[] {
  const near = tests
    .map((test) => ({ test, distance: reachOf(test).get(file) }))
    .filter((one): one is { test: string; distance: number } => one.distance !== undefined)
    .sort((a, b) => a.distance - b.distance)
    .map(({ test }) => test);
  return near.length > 0 ? near : tests;
}

const known = new Map<string, ReadonlyMap<string, number>>();

/** Over how many imports a test reaches each file. */
function reachOf(test: string): ReadonlyMap<string, number> {
  const before = known.get(test);
  if (before) return before;
  const reach = new Map([[test, 0]]);
  for (const [file, distance] of reach)
    // those that are added meanwhile, too
    for (const next of importsOf(file)) if (!reach.has(next)) reach.set(next, distance + 1);
  known.set(test, reach);
  return reach;
}

function importsOf(file: string): string[] {
  const text = readFileSync(file, "utf8");
  return [...text.matchAll(/\b(?:from |import\()"(\.[^"]+\.ts)"/g)].map(([, path]) =>
    join(file, "..", path!),
  );
}
