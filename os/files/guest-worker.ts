/** The worker that runs inside machines, put together from its parts. */
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { packageFile } from "./package.ts";

/** The files of `worker/guest/parts` in the order of their names, as one shell script. */
export async function guestWorker(): Promise<string> {
  const directory = packageFile("worker", "guest", "parts");
  const names = (await readdir(directory)).filter((name) => /^\d\d-[a-z-]+\.(sh|awk)$/.test(name)).sort();
  const parts = names.map(async (name) => {
    const text = await readFile(join(directory, name), "utf8");
    return name.endsWith(".awk") ? shellVariable(basename(name, ".awk").slice(3), text) : text;
  });
  return (await Promise.all(parts)).join("\n");
}

/** An awk program as the value of a variable: `30-read-manifest.awk` is `$read_manifest`. */
function shellVariable(name: string, program: string): string {
  if (program.includes("'")) throw new Error(`the worker's awk program '${name}' has an apostrophe`);
  return `# shellcheck disable=SC2016\n${name.replaceAll("-", "_")}='\n${program}'\n`;
}
