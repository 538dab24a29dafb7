/** /usr/share/doc/croft/copyright: the licenses of croft and of the modules that come with it. */
import { existsSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { croftDirectory } from "./host-files.ts";

/** What is read of package-lock.json. */
export interface LockedModules {
  /** By path, `node_modules/NAME`. */
  packages: Record<string, { version?: string; license?: string }>;
}

/** Names each module that is there with its license, and where the license's text lies. */
export async function copyrightOf(lock: LockedModules, croft: string): Promise<string> {
  const license = await readFile(join(croft, "LICENSE"), "utf8");
  const modules = Object.entries(lock.packages)
    .filter(([path]) => path !== "" && existsSync(join(croft, path)))
    .map(([path, { version = "", license: name = "see its files" }]) => {
      const file = readdirSync(join(croft, path)).find((each) => /^licen[sc]e/i.test(each));
      const text = file === undefined ? "" : `, /${croftDirectory}/${path}/${file}`;
      return `  ${path.replace(/^.*node_modules\//, "")} ${version}: ${name}${text}`;
    });
  return `croft\n\n${license}\nIt comes with these modules, each under its own license:\n\n${modules.join("\n")}\n\nOn Debian the Apache License 2.0 is /usr/share/common-licenses/Apache-2.0.\n`;
}
