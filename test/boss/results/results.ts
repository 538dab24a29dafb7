import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** All files of results below a directory, by path; what says who built it and when is left out. */
export function readResults(output: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const path of readdirSync(output, { recursive: true }) as string[]) {
    const name = path.split("/").at(-1)!;
    if (!path.includes("/") || name === "host" || !statSync(join(output, path)).isFile()) continue;
    files.set(path, readFileSync(join(output, path), "utf8"));
  }
  return files;
}

/** How many results are complete. */
export function countDone(output: string): number {
  return [...readResults(output).keys()].filter((path) => path.endsWith("/done")).length;
}

/** Pids of processes whose environment or command line has the text. */
export function processesWith(text: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return ["environ", "cmdline"].some((file) =>
          readFileSync(`/proc/${pid}/${file}`, "latin1").includes(text),
        );
      } catch {
        return false; // it has ended, or is another user's
      }
    })
    .map(Number);
}
