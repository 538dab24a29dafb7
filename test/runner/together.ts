/**
 * Unit tests share processes: loading node's test runner and the same modules again for each of 170 files takes more of the
 * processors than most of the tests themselves. All files of a group are loaded before the first of its tests begins; one
 * that needs a process of its own is no unit test.
 */
import { writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** Files that share a process: enough processes remain to be run beside each other. */
const groupSize = 24;

/**
 * Puts a file in the place of each group of unit tests; where there are only a few, they are left as they are.
 *
 * @param directory for these files.
 * @returns what is to be run, in the same order.
 */
export async function together(files: readonly string[], directory: string): Promise<string[]> {
  const units = files.filter((file) => file.endsWith(".test.ts"));
  if (units.length <= groupSize) return [...files];
  const groups: string[] = [];
  for (let from = 0; from < units.length; from += groupSize) {
    const group = units.slice(from, from + groupSize);
    const imports = group.map((file) => `import ${JSON.stringify(pathToFileURL(resolve(file)).href)};\n`);
    const path = join(directory, `unit tests from ${basename(group[0]!, ".test.ts")} on.mjs`);
    await writeFile(path, imports.join(""));
    groups.push(path);
  }
  return [...files.filter((file) => !units.includes(file)), ...groups];
}
