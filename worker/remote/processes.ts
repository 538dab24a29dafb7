import { spawn, type ChildProcess, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { Failure, reasonOf } from "../../os/failure.ts";
import { killGroup } from "../../os/run.ts";
import type { Guard } from "./guard.ts";
import { BoundedOutput } from "./output.ts";

/** Waits for its group to be registered with the guard; if the worker ends before, there is no line, and no program. */
const gate = 'IFS= read -r go || exit 1; exec "$@" </dev/null';

/** How long a program that has ended may leave its output open: something it started may hold it. */
const outputGraceSeconds = 2;

/** What a timer can wait for, in ms: 24 days. */
const longestTimer = 2 ** 31 - 1;

/** How to run a program; see {@link Processes.run}. */
export interface ProcessOptions {
  cwd: string;
  env: NodeJS.ProcessEnv;
  timeoutSeconds: number;
  /** How much of each stream is kept, in bytes, beginning and end; default 1 MiB. */
  keepBytes?: number;
}

/** What a program left behind. */
export interface Finished {
  /** Exit status; null if it was ended by a signal. */
  status: number | null;
  /** How it ended, in words. */
  ending: string;
  stdout: string;
  stderr: string;
}

/** Thrown by what was waiting for a program when the worker ends. */
export class Ended extends Error {
  constructor() {
    super("the worker is ending");
    this.name = "Ended";
  }
}

/** The programs that a worker runs, all of them registered with its guard. */
export class Processes {
  readonly #guard: Guard;
  readonly #running = new Set<ChildProcess>();
  #ended = false;

  constructor(guard: Guard) {
    this.#guard = guard;
  }

  /**
   * Runs a program in a process group of its own; what is left of the group when it has ended is killed.
   *
   * @throws {Failure} if it cannot be started; {Ended} if the worker ends.
   */
  async run(argv: readonly string[], options: ProcessOptions): Promise<Finished> {
    if (this.#ended) throw new Ended();
    const { cwd } = options;
    const env = { ...options.env, ...this.#guard.mark };
    const child = spawn("/bin/sh", ["-c", gate, "croft-gate", ...argv], { cwd, env, detached: true });
    this.#running.add(child);
    let timedOut = false;
    const timer = setTimeout(
      () => {
        timedOut = true;
        killGroup(child.pid, "SIGKILL");
      },
      Math.min(options.timeoutSeconds * 1000, longestTimer),
    );
    const group = child.pid;
    try {
      if (group === undefined) throw await failureToStart(child, argv);
      const end = ending(child, group, options.keepBytes ?? 1024 * 1024);
      await this.#guard.add(group);
      if (this.#ended) throw new Ended();
      child.stdin.end("go\n");
      const { status, signal, ...output } = await end;
      if (this.#ended) throw new Ended();
      const words = timedOut ? `no end after ${options.timeoutSeconds} s` : `ended by ${signal}`;
      return { status, ending: status === null ? words : `exit status ${status}`, ...output };
    } finally {
      clearTimeout(timer);
      killGroup(group, "SIGKILL");
      this.#running.delete(child);
      if (group !== undefined) this.#guard.remove(group);
    }
  }

  /** Kills everything at once, and starts nothing more. */
  end(): void {
    this.#ended = true;
    for (const child of this.#running) killGroup(child.pid, "SIGKILL");
  }
}

async function failureToStart(child: ChildProcess, argv: readonly string[]): Promise<Failure> {
  const [error] = (await once(child, "error")) as [Error];
  return new Failure(`run '${argv[0]}'`, reasonOf(error), { cause: error });
}

interface Ending {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Waits for a program's end and, not for ever, for that of its output. */
async function ending(
  child: ChildProcessWithoutNullStreams,
  group: number,
  keepBytes: number,
): Promise<Ending> {
  const stdout = new BoundedOutput(keepBytes);
  const stderr = new BoundedOutput(keepBytes);
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  child.stdin.on("error", () => {}); // the gate may have been killed
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const [status, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.once("exit", (code, by) => resolve([code, by])),
  );
  killGroup(group, "SIGKILL"); // what the program has left in the background
  const timer = setTimeout(() => {
    child.stdout.destroy();
    child.stderr.destroy();
  }, outputGraceSeconds * 1000);
  await closed;
  clearTimeout(timer);
  return { status, signal, stdout: stdout.text(), stderr: stderr.text() };
}
