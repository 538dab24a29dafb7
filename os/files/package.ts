import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The directory of the package, the same from the sources and from `dist/`: where `package.json` lies. */
export const packageRoot: string = findRoot(import.meta.dirname);

/** A file that comes with the package, such as `worker/guest/croft-init`. */
export function packageFile(...parts: string[]): string {
  return join(packageRoot, ...parts);
}

/** The version of croft. */
export const packageVersion: string = (
  JSON.parse(readFileSync(packageFile("package.json"), "utf8")) as { version: string }
).version;

function findRoot(from: string): string {
  for (let directory = from; ; directory = dirname(directory)) {
    if (existsSync(join(directory, "package.json"))) return directory;
    if (directory === dirname(directory)) throw new Error("no package.json above " + from);
  }
}
