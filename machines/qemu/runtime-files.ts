/**
 * What a machine keeps in its runtime directory, and what can be done about a machine with that alone: by an
 * operator's command, or by the successor of a crashed agent.
 */
import { readFile, rm } from "node:fs/promises";
import { connect } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import { markOf } from "./inherited-files.ts";
import { QmpClient } from "./qmp.ts";

export const pidFileName = "qemu.pid";
export const consoleFileName = "console.log";
const operatorSocketName = "operator.qmp";
const consoleSocketName = "console.sock";
const screenSocketName = "vnc.sock";
/** See socket-directory.ts. */
export const socketDirectoryName = "qemu";

/** Longer paths do not fit a Unix socket's address. */
const socketPathLimit = 107;
const killSeconds = 10;
const greetingSeconds = 10;

/** The second QMP socket of a machine, for operators; undefined if its path would be too long. */
export function operatorSocket(runtimeDirectory: string): string | undefined {
  return socketPath(runtimeDirectory, operatorSocketName);
}

/** The socket where an operator's terminal meets the machine's console; undefined if its path would be too long. */
export function consoleSocket(runtimeDirectory: string): string | undefined {
  return socketPath(runtimeDirectory, consoleSocketName);
}

/** The socket of a suspended machine's VNC server; undefined if its path would be too long. */
export function screenSocket(runtimeDirectory: string): string | undefined {
  return socketPath(runtimeDirectory, screenSocketName);
}

/** A socket's path in a directory; undefined if it would be too long. */
export function socketPath(runtimeDirectory: string, name: string): string | undefined {
  const path = join(resolve(runtimeDirectory), name);
  return Buffer.byteLength(path) <= socketPathLimit ? path : undefined;
}

/** Removes the pid file and the sockets; the console file stays as evidence. */
export async function removeRuntimeFiles(runtimeDirectory: string): Promise<void> {
  for (const name of [
    ...[pidFileName, operatorSocketName, consoleSocketName, screenSocketName],
    socketDirectoryName,
  ])
    await rm(join(runtimeDirectory, name), { recursive: true, force: true });
}

/** Something else is connected to the machine's operator socket: QEMU serves one at a time, and lets others wait. */
export class MonitorInUse extends Failure {
  override readonly name = "MonitorInUse";
}

/** What a machine says about itself. */
export interface RunningMachine {
  /** As given to it at its start. */
  name: string;
  /** False while its processors stand still. */
  runs: boolean;
}

/**
 * Asks the machine of a runtime directory who it is, on behalf of an operator.
 *
 * @throws {MonitorInUse} if somebody else talks to it; a {@link Failure} if none runs there, or it does not answer.
 */
export async function queryVirtualMachine(runtimeDirectory: string): Promise<RunningMachine> {
  return withOperatorMonitor(
    `look at the machine in '${runtimeDirectory}'`,
    runtimeDirectory,
    async (qmp) => {
      const { name } = (await qmp.execute("query-name")) as { name?: string };
      const { running } = (await qmp.execute("query-status")) as { running: boolean };
      return { name: name ?? "", runs: running };
    },
  );
}

/**
 * Resumes or ends the machine of a runtime directory, on behalf of an operator.
 *
 * @throws {MonitorInUse} if somebody else talks to it; a {@link Failure} if none runs there, or it does not obey.
 */
export async function controlVirtualMachine(
  runtimeDirectory: string,
  what: "resume" | "kill",
): Promise<void> {
  await withOperatorMonitor(`${what} the machine in '${runtimeDirectory}'`, runtimeDirectory, (qmp) =>
    qmp.execute(what === "resume" ? "cont" : "quit"),
  );
}

async function withOperatorMonitor<T>(
  action: string,
  runtimeDirectory: string,
  work: (qmp: QmpClient) => Promise<T>,
): Promise<T> {
  const path = operatorSocket(runtimeDirectory);
  if (path === undefined) throw new Failure(action, "the path is too long for a socket");
  const socket = connect(path);
  let connected = false;
  socket.once("connect", () => (connected = true));
  using client = new QmpClient(socket, () => {});
  let greeted = false;
  try {
    await client.negotiate(greetingSeconds);
    greeted = true;
    return await work(client);
  } catch (error) {
    if (connected && !greeted && !socket.readableEnded && !socket.destroyed)
      throw new MonitorInUse(action, `something else is connected to '${path}', or QEMU hangs`, {
        cause: error,
        hints: ["QEMU serves one there at a time. See who it is: ss -xp, and end that connection."],
      });
    throw new Failure(action, reasonOf(error), { cause: error, hints: ["Does a machine run there?"] });
  }
}

/**
 * Ends the QEMU that a crashed agent may have left in a runtime directory, and removes its files. Another process
 * that has the pid by now is left alone: the command line must name this very directory.
 *
 * @returns the pid of what was ended.
 * @throws {Failure} if it does not end.
 */
export async function killStaleVirtualMachines(runtimeDirectory: string): Promise<number | undefined> {
  const pid = await pidOf(runtimeDirectory);
  if (pid !== undefined) {
    kill(pid);
    const deadline = performance.now() + killSeconds * 1000;
    while (await runs(pid, runtimeDirectory)) {
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

/** The hypervisor's process of the machine of a runtime directory; undefined if none runs there. */
export async function pidOf(runtimeDirectory: string): Promise<number | undefined> {
  const text = await readIfThere(join(runtimeDirectory, pidFileName));
  const pid = Number(text?.trim());
  return Number.isSafeInteger(pid) && pid > 1 && (await runs(pid, runtimeDirectory)) ? pid : undefined;
}

async function runs(pid: number, runtimeDirectory: string): Promise<boolean> {
  const mark = `,${markOf(resolve(runtimeDirectory))}`;
  const argv = (await readIfThere(`/proc/${pid}/cmdline`))?.split("\0") ?? [];
  return argv.some((argument, index) => argv[index - 1] === "-add-fd" && argument.endsWith(mark));
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ESRCH")) return undefined;
    throw error;
  }
}
