/** The worker that runs inside machines, put together from its parts. */
import { readdir, readFile } from "node:fs/promises";
import { packageFile } from "./package.ts";

/** The worker's text: the files of `worker/guest/parts` in the order of their names, a blank line between. */
export async function guestWorker(): Promise<string> {
  const names = (await readdir(packageFile("worker", "guest", "parts"))).filter((name) =>
    /^\d\d-/.test(name),
  );
  const parts = names.sort().map((name) => readFile(packageFile("worker", "guest", "parts", name), "utf8"));
  return (await Promise.all(parts)).join("\n");
}
