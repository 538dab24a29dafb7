/**
 * A process that holds a machine as an agent does that performs a task, and does what the test says:
 * `node task-holder.ts <machines> <volume> <machine> <toolchain> <priority>`.
 *
 * Prints `held`, and `SIGUSR1` for each of these; obeys `release` and `suspend` on standard input, and then says so.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { silentLog } from "../../../os/log.ts";
import { machinePaths, type MachinePaths } from "../../../machines/layout.ts";
import { MachineLock, tryMachineLock } from "../../../machines/locks.ts";
import { takeToolchainLock } from "../../../machines/toolchain-lock.ts";
import { patienceMs } from "../../fixtures/patience.ts";

/** A running task holder; disposing kills it. */
export interface TaskHolder extends AsyncDisposable {
  readonly pid: number;
  /** What it has printed. */
  readonly said: readonly string[];
  /** Waits until it has printed a line. */
  until(line: string): Promise<void>;
  tell(command: "release" | "suspend"): Promise<void>;
  /** What happens to it next is the kernel's. */
  kill(): Promise<void>;
}

/** Starts one, and waits until it holds the machine. */
export async function holdTask(paths: MachinePaths, machines: string, priority: number): Promise<TaskHolder> {
  const argv = [import.meta.filename, machines, paths.volume, paths.name, paths.toolchain, String(priority)];
  const child = spawn(process.execPath, argv, { stdio: ["pipe", "pipe", "inherit"] });
  const closed = once(child, "close");
  const said: string[] = [];
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => said.push(line));
  const until = async (line: string) => {
    const signal = AbortSignal.timeout(patienceMs);
    while (!said.includes(line)) await once(lines, "line", { signal });
  };
  await until("held");
  return {
    pid: child.pid!,
    said,
    until,
    tell: async (command) => {
      child.stdin.write(`${command}\n`);
      await until(`${command} done`);
    },
    kill: async () => {
      child.kill("SIGKILL");
      await closed;
    },
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await closed;
    },
  };
}

async function hold(): Promise<void> {
  const [machines, volume, name, toolchain, priority] = process.argv.slice(2) as [
    string,
    string,
    string,
    string,
    string,
  ];
  const toolchainLock = await takeToolchainLock("", silentLog());
  process.on("SIGUSR1", () => process.stdout.write("SIGUSR1\n"));
  const lock = tryMachineLock(toolchainLock, machinePaths(machines, volume, name, toolchain));
  if (!(lock instanceof MachineLock)) throw new Error("it is held");
  lock.write(toolchainLock, Number(priority));
  process.stdout.write("held\n");
  for await (const command of createInterface({ input: process.stdin })) {
    if (command === "release") lock[Symbol.dispose]();
    else if (command === "suspend") lock.truncate();
    process.stdout.write(`${command} done\n`);
  }
}

if (import.meta.main) await hold();
