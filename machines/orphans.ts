/**
 * Programs that a killed agent has left behind while they make a snapshot. A hypervisor dies with its agent; cp and btrfs
 * go on, and one that had only begun makes its snapshot when the successor has looked for stale ones already: that snapshot
 * nobody would ever see, but as space that is gone.
 */
import { readdir, readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isSystemError } from "../os/failure.ts";
import type { Log } from "../os/log.ts";

/** Those that storages make copies with; each has what it makes as its last argument. */
const programs = new Set(["cp", "btrfs", "qemu-img"]);
/** What waits for a dead disk cannot be ended. */
const patienceSeconds = 10;

/**
 * Ends them, and waits until they are gone. To be called by the only process of the instance.
 *
 * @param isOurs whether a path is one of this instance's temporary snapshots, or in one.
 */
export async function endOrphans(isOurs: (path: string) => boolean, log: Log): Promise<void> {
  for (const name of await readdir("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || !(await makes(pid, isOurs))) continue;
    log.info({ process: pid }, "ending what a predecessor had begun");
    signal(pid, "SIGKILL");
    const deadline = performance.now() + patienceSeconds * 1000;
    while ((await makes(pid, isOurs)) && performance.now() < deadline) await delay(10);
    if (await makes(pid, isOurs)) log.error({ process: pid }, "what a predecessor had begun does not end");
  }
}

async function makes(pid: number, isOurs: (path: string) => boolean): Promise<boolean> {
  const argv = await argvOf(pid);
  const made = argv.at(-1);
  return made !== undefined && programs.has(basename(argv[0]!)) && isOurs(resolve(made));
}

/** None of a process that is gone, or of which nothing but its exit status is left. */
async function argvOf(pid: number): Promise<string[]> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0").slice(0, -1);
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ESRCH", "EACCES", "EPERM")) return [];
    throw error;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!isSystemError(error, "ESRCH", "EPERM")) throw error;
  }
}
