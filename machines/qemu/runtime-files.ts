/**
 * What a machine keeps in its runtime directory, and what can be done about a machine with that alone: by an
 * operator's command, or by the successor of a crashed agent.
 */
import { readFile, rm } from "node:fs/promises";
import { connect } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Failure, isSystemError, reasonOf } from "../../host/failure.ts";
import { QmpClient } from "./qmp.ts";

export const pidFileName = "qemu.pid";
export const consoleFileName = "console.log";
const operatorSocketName = "operator.qmp";

/** Longer paths do not fit a Unix socket's address. */
const socketPathLimit = 107;
const killSeconds = 10;

/** The second QMP socket of a machine, for operators; undefined if its path would be too long. */
export function operatorSocket(runtimeDirectory: string): string | undefined {
  const path = join(resolve(runtimeDirectory), operatorSocketName);
  return Buffer.byteLength(path) <= socketPathLimit ? path : undefined;
}

/** Removes the pid file and the socket; the console file stays as evidence. */
export async function removeRuntimeFiles(runtimeDirectory: string): Promise<void> {
  for (const name of [pidFileName, operatorSocketName])
    await rm(join(runtimeDirectory, name), { force: true });
}

/**
 * Resumes or ends the machine of a runtime directory, on behalf of an operator.
 *
 * @throws {Failure} if none runs there, or it does not obey.
 */
export async function controlVirtualMachine(
  runtimeDirectory: string,
  what: "resume" | "kill",
): Promise<void> {
  const path = operatorSocket(runtimeDirectory);
  const action = `${what} the machine in '${runtimeDirectory}'`;
  if (path === undefined) throw new Failure(action, "the path is too long for a socket");
  const socket = connect(path);
  using client = new QmpClient(socket, () => {});
  try {
    await client.negotiate(10);
    await client.execute(what === "resume" ? "cont" : "quit");
  } catch (error) {
    throw new Failure(action, reasonOf(error), { cause: error, hints: ["Does a machine run there?"] });
  }
}

/**
 * Ends the QEMU that a crashed agent may have left in a runtime directory, and removes its files. Another process
 * that has the pid by now is left alone: the command line must name this very pid file.
 *
 * @returns the pid of what was ended.
 * @throws {Failure} if it does not end.
 */
export async function killStaleVirtualMachines(runtimeDirectory: string): Promise<number | undefined> {
  const pidFile = join(resolve(runtimeDirectory), pidFileName);
  const pid = await pidOf(pidFile);
  if (pid !== undefined) {
    kill(pid);
    const deadline = performance.now() + killSeconds * 1000;
    while (await runs(pid, pidFile)) {
      if (performance.now() > deadline)
        throw new Failure(
          `end the machine left in '${runtimeDirectory}'`,
          `QEMU process ${pid} does not end`,
        );
      await delay(20);
    }
  }
  await removeRuntimeFiles(runtimeDirectory);
  return pid;
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!isSystemError(error, "ESRCH")) throw error;
  }
}

async function pidOf(pidFile: string): Promise<number | undefined> {
  const text = await readIfThere(pidFile);
  const pid = Number(text?.trim());
  return Number.isSafeInteger(pid) && pid > 1 && (await runs(pid, pidFile)) ? pid : undefined;
}

async function runs(pid: number, pidFile: string): Promise<boolean> {
  const argv = (await readIfThere(`/proc/${pid}/cmdline`))?.split("\0") ?? [];
  return argv.some((argument, index) => argument === "-pidfile" && argv[index + 1] === pidFile);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ESRCH")) return undefined;
    throw error;
  }
}
