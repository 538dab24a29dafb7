/**
 * A process that takes a machine lock as agents do, over and over, and writes down when it has which lock:
 * `node lock-holder.ts <toolchain lock> <machines directory> <journal> [hold]`. Ends when its standard input does. With
 * `hold` it keeps both locks, and says `held`.
 *
 * The journal is appended to in one call a line, so that its order is that of the kernel. A line that says `enter` is
 * written after the lock was taken, one that says `leave` before it is given back.
 */
import { once } from "node:events";
import { openSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { silentLog } from "../../os/log.ts";
import { machinePaths } from "../../machines/layout.ts";
import { MachineLock, tryMachineLock } from "../../machines/locks.ts";
import { takeToolchainLock } from "../../machines/toolchain-lock.ts";

const [lockPath, directory, journalPath, hold] = process.argv.slice(2) as [string, string, string, string?];
const journal = openSync(journalPath, "a");
const paths = machinePaths(directory, "v", "m", "gcc");
const note = (what: string) => writeSync(journal, `${what} ${process.pid}\n`);

async function round(): Promise<void> {
  using resources = new DisposableStack();
  {
    using toolchainLock = await takeToolchainLock(lockPath, silentLog());
    note("enter toolchain");
    const lock = tryMachineLock(toolchainLock, paths);
    if (lock instanceof MachineLock) {
      resources.use(lock);
      note("enter machine");
      lock.write(toolchainLock, 1000);
      resources.defer(() => note("leave machine"));
    }
    if (hold) {
      process.stdout.write("held\n");
      await once(process.stdin, "end");
    }
    await sleep(Math.random() * 2);
    note("leave toolchain");
  }
  await sleep(Math.random() * 3);
}

let ending = false;
process.stdin.on("end", () => (ending = true)).resume();
do await round();
while (!ending);
