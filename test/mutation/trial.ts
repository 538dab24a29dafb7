import { spawn } from "node:child_process";
import { killGroup } from "../../os/run.ts";

export type Outcome = "killed" | "timeout" | "survived";

/** Runs test files, one after the other in one process, until the first failure. */
export async function runTests(
  directory: string,
  tests: readonly string[],
  timeoutSeconds: number,
): Promise<{ outcome: Outcome; output: string; seconds: number }> {
  const began = performance.now();
  // All in one process: most of the time of a file of unit tests is its start.
  const args = ["--test", "--test-isolation=none", "--test-reporter=tap", ...tests];
  const child = spawn("nice", [process.execPath, ...args], {
    cwd: directory,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NODE_COMPILE_CACHE: `${directory}/.cache/compiled` },
  });
  let output = "";
  let failed = false;
  let late = false;
  const read = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-100_000);
    if (failed || !/^\s*not ok /m.test(output)) return;
    failed = true;
    killGroup(child.pid, "SIGKILL");
  };
  child.stdout.on("data", read);
  child.stderr.on("data", read);
  const timer = setTimeout(() => {
    late = true;
    killGroup(child.pid, "SIGKILL");
  }, timeoutSeconds * 1000);
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  clearTimeout(timer);
  killGroup(child.pid, "SIGKILL"); // what a test had started
  const outcome = failed || (!late && status !== 0) ? "killed" : late ? "timeout" : "survived";
  return { outcome, output, seconds: (performance.now() - began) / 1000 };
}
