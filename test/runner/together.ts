/**
 * Tests share processes: loading node's test runner and the same modules again for each of some hundred files takes more of
 * the processors than many of the tests themselves. All files of a group are loaded before the first of its tests begins;
 * one that needs a process of its own is no unit test. Of the real tests those do that open controllers in their own
 * process, which takes it a second or two of a processor's time for the first of them, and little for the next.
 */
import { readFile, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { packageRoot } from "../../os/files/package.ts";
import { longest } from "./order.ts";

/** Files that share a process: enough processes remain to be run beside each other. */
const unitGroupSize = 24;
const controllerGroupSize = 6;

/**
 * Puts a file in the place of each group of tests; where there are only a few, they are left as they are.
 *
 * @param directory for these files.
 * @returns what is to be run: real tests in the same order, those that share a process after those that do not, then units.
 */
export async function together(files: readonly string[], directory: string): Promise<string[]> {
  const units = files.filter((file) => file.endsWith(".test.ts"));
  const sharing: string[] = [];
  for (const file of files)
    if (!units.includes(file) && !longest.includes(file) && (await sharesProcess(file))) sharing.push(file);
  const alone = files.filter((file) => !units.includes(file) && !sharing.includes(file));
  return [
    ...alone,
    ...(await grouped(sharing, controllerGroupSize, join(directory, "controllers"))),
    ...(await grouped(units, unitGroupSize, join(directory, "unit tests"))),
  ];
}

/** It opens controllers in its process, and neither changes that nor has what node:test would do for the others' tests, too. */
async function sharesProcess(file: string): Promise<boolean> {
  const text = await readFile(resolve(packageRoot, file), "utf8").catch(() => "");
  return (
    /from "[./]+\/in-process\.ts"/.test(text) &&
    !/^(before|after)(Each)?\(|\bprocess\.(env|on|once|chdir|umask|emit)\b|\bmock\b/m.test(text)
  );
}

async function grouped(files: readonly string[], size: number, prefix: string): Promise<string[]> {
  if (files.length <= size) return [...files];
  const groups: string[] = [];
  for (let from = 0; from < files.length; from += size) {
    const group = files.slice(from, from + size);
    const imports = group.map((file) => `import ${JSON.stringify(pathToFileURL(resolve(file)).href)};\n`);
    const path = `${prefix} from ${basename(group[0]!).replace(/\.(test|real)\.ts$/, "")} on.mjs`;
    await writeFile(path, imports.join(""));
    groups.push(path);
  }
  return groups;
}
