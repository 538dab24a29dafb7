import { statSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Which file a program is, and which content of it; undefined if there is none. */
export function programIdentity(program: string): string | undefined {
  const paths = program.includes("/")
    ? [program]
    : (process.env["PATH"] ?? "").split(delimiter).map((directory) => join(directory, program));
  for (const path of paths) {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found?.isFile())
      return [path, found.dev, found.ino, found.size, found.mtimeMs, found.ctimeMs].join(" ");
  }
  return undefined;
}
