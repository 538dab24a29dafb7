/** The demo's long-lived children: croft's own commands. */
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { Failure } from "../../os/failure.ts";
import { packageFile } from "../../os/files/package.ts";
import { killGroup } from "../../os/run.ts";

/** How long a command may take to clean up once it has been told to end. */
const endSeconds = 30;

/** A command that runs until it is disposed of. */
export interface Service extends AsyncDisposable {
  /** File with all that it says. */
  readonly log: string;
  /** Rejects with a {@link Failure} as soon as it ends without having been told to. */
  readonly failed: Promise<never>;
}

/** The argument vector of a croft command that ends, by SIGTERM, when this process does. */
export function croftCommand(...args: string[]): string[] {
  return [...dependent, process.execPath, packageFile("bin/croft.js"), ...args];
}

const dependent = ["setpriv", "--pdeathsig", "TERM", "--"];

/**
 * Starts a croft command in a process group of its own, which is ended as a whole.
 *
 * @param keep descriptor that it keeps open.
 */
export function startService(name: string, args: readonly string[], log: string, keep?: number): Service {
  const output = openSync(log, "w");
  const [program, ...rest] = croftCommand(...args) as [string, ...string[]];
  const child = spawn(program, rest, {
    detached: true,
    stdio: ["ignore", output, output, ...(keep === undefined ? [] : [keep])],
  });
  closeSync(output);
  let told = false;
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (status, signal) => resolve(signal ?? `exit status ${status}`));
  });
  const failed = ended.then((how) =>
    told
      ? new Promise<never>(() => {})
      : Promise.reject(new Failure(`keep the ${name} running`, `it ended: ${how}`)),
  );
  failed.catch(() => {}); // whoever waits for it is told
  return {
    log,
    failed,
    [Symbol.asyncDispose]: async () => {
      told = true;
      killGroup(child.pid, "SIGTERM");
      const timer = setTimeout(() => killGroup(child.pid, "SIGKILL"), endSeconds * 1000);
      await ended;
      clearTimeout(timer);
      killGroup(child.pid, "SIGKILL"); // whatever it may have left in its group
    },
  };
}

/** The lines of a growing file as they come, until the signal is aborted. */
export async function* followLines(path: string, signal: AbortSignal): AsyncGenerator<string> {
  await using file: FileHandle = await open(path);
  const buffer = Buffer.alloc(65536);
  let partial = "";
  while (!signal.aborted) {
    const { bytesRead } = await file.read(buffer);
    if (bytesRead === 0) {
      await delay(200, undefined, { signal }).catch(() => {});
      continue;
    }
    const lines = (partial + buffer.toString("utf8", 0, bytesRead)).split("\n");
    partial = lines.pop()!;
    yield* lines;
  }
}
