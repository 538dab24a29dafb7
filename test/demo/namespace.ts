/**
 * The demo's place to mount its file system: a mount namespace of its own. What is mounted in it is seen by the demo
 * and its children alone, and vanishes, loop device and all, with the last of them, however they end.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

const inside = "CROFT_DEMO_NAMESPACE";

/**
 * Replaces this process by itself in a mount namespace of its own, if it may have one; does not return then.
 *
 * @returns whether this process has one already; false if the host allows none.
 */
export function enterNamespace(): boolean {
  if (process.env[inside] === String(process.pid)) return true;
  const program = (process.env["PATH"] ?? "")
    .split(delimiter)
    .map((directory) => join(directory, "unshare"))
    .find((file) => existsSync(file));
  if (process.getuid?.() !== 0 || program === undefined || process.execve === undefined) return false;
  // Mounts and unmounts of the host still come in, so that it is not kept from unmounting anything.
  const unshare = ["--mount", "--propagation", "slave"];
  if (spawnSync(program, [...unshare, "true"], { stdio: "ignore" }).status !== 0) return false;
  return process.execve(program, ["unshare", ...unshare, "--", process.execPath, ...process.argv.slice(1)], {
    ...process.env,
    [inside]: String(process.pid),
  });
}
