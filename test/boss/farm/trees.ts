import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The files of a target's results, but for who has built them, what was said beside errors, and make's last words. */
export function treeOf(output: string, target: string): Map<string, string> {
  return new Map(
    commitsIn(output).flatMap((commit) =>
      readdirSync(join(output, commit, target))
        .filter((name) => name !== "host" && name !== "log")
        .sort()
        .map((name): [string, string] => {
          const text = readFileSync(join(output, commit, target, name), "utf8");
          return [`${commit}/${name}`, text.replaceAll(/^make.*\n/gm, "")];
        }),
    ),
  );
}

/** Directories of the commits that there are results of. */
export function commitsIn(output: string): string[] {
  return readdirSync(output).filter((name) => /^\d/.test(name));
}
