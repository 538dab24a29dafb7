import { spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import type { Readable } from "node:stream";
import { timerMaxMilliseconds } from "./deadline.ts";
import { Failure, isSystemError } from "./failure.ts";
import { LineSplitter } from "./text/lines.ts";
import { fromWholeCharacter } from "./text/whole-characters.ts";
import { withoutUndefined } from "./without-undefined.ts";

/** What is passed on of a longer line. */
const longestLineBytes = 64 * 1024;

/** How to run a program; see {@link run}. */
export interface RunOptions {
  /** Required: no program of the farm may run for ever. */
  timeoutSeconds: number;
  signal?: AbortSignal;
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Text for standard input; without it, standard input is empty. */
  input?: string | Uint8Array;
  /** A file as standard input, however large. */
  inputFile?: string;
  /** Called with each line of either stream, without its newline; of one over 64 KiB, with its beginning. */
  onLine?: (line: string) => void;
  /** How much of each stream is kept, in bytes (the end of it); default 1 MiB. */
  keepBytes?: number;
  /**
   * Reads standard output, however much it is, instead of having it kept. It may stop early, and then reads no more: a program
   * ends by what it writes to nobody. What it throws is thrown.
   */
  output?: (stdout: Readable) => Promise<void>;
  /** Exit statuses that count as success besides 0. */
  accept?: readonly number[];
}

/** What a program left behind. */
export interface RunResult {
  status: number;
  stdout: string;
  /** Standard output as it came, for programs that print no text. */
  stdoutBytes: Uint8Array;
  stderr: string;
}

/** A program that could not be run to its proper end. */
export class ProgramFailure extends Failure {
  readonly argv: readonly string[];
  /** Without the output, e.g. `exit status 1`. */
  readonly reason: string;
  /** Exit status, or null if it ended by a signal, a timeout, or was never started. */
  readonly status: number | null;
  readonly output: string;

  constructor(
    argv: readonly string[],
    reason: string,
    status: number | null,
    output: string,
    cause?: unknown,
  ) {
    const tail = output.trim().split("\n").slice(-6).join("\n  ");
    super(`run '${argv.join(" ")}'`, tail ? `${reason}:\n  ${tail}` : reason, { cause });
    this.name = "ProgramFailure";
    this.argv = argv;
    this.reason = reason;
    this.status = status;
    this.output = output;
  }
}

/** After TERM, a program has this long to end before KILL. */
const termSeconds = 2;
/** After KILL, so long: what waits for a dead file server cannot be ended, and is left behind. */
const killSeconds = 5;
/** A program that has ended may have left its output open to something it started: read until it is silent for so long. */
const silenceSeconds = 2;

/**
 * Runs a program to its end: an argument vector (never a shell string), in a process group of its own that is
 * killed as a whole on timeout or abort (TERM, two seconds later KILL).
 *
 * It ends within the timeout and a few seconds, whatever the program has started and whoever holds its output: what
 * runs on after a program that has ended by itself is left alone, and no longer listened to once it is silent.
 *
 * @throws {ProgramFailure} with argv, exit status and the end of the output.
 */
export async function run(argv: readonly string[], options: RunOptions): Promise<RunResult> {
  options.signal?.throwIfAborted();
  const child = start(argv, options);
  const { stdout, stderr, stdin } = child;
  const failedToStart = new Promise<never>((_, reject) =>
    child.once("error", (error) => {
      if (child.pid === undefined) reject(notStarted(argv, error)); // else a signal could not be sent
    }),
  );
  // Without descriptors for its streams, a program is not started, and has no streams.
  if (!stdout || !stderr) return await failedToStart;
  const keep = options.keepBytes ?? 1024 * 1024;
  const consumed = options.output?.(stdout);
  consumed?.catch(() => {}); // told below
  const kept = {
    stdout: consumed ? nothing() : collect(stdout, keep, options.onLine),
    stderr: collect(stderr, keep, options.onLine),
  };
  stdin?.on("error", () => {}); // the program may end before it has read its input
  stdin?.end(options.input ?? "");
  const ending = await Promise.race([
    failedToStart,
    endOf(child, options, () => kept.stdout.total + kept.stderr.total),
  ]);
  const output = kept.stdout.text() + kept.stderr.text();
  const { status, signal, ended } = ending;
  if (ended !== undefined) throw new ProgramFailure(argv, ended, null, output);
  await consumed;
  if (status === null) throw new ProgramFailure(argv, `ended by ${signal}`, null, output);
  if (status !== 0 && !options.accept?.includes(status))
    throw new ProgramFailure(argv, `exit status ${status}`, status, output);
  return { status, stdout: kept.stdout.text(), stdoutBytes: kept.stdout.bytes(), stderr: kept.stderr.text() };
}

function start(argv: readonly string[], { cwd, env, inputFile }: RunOptions): ChildProcess {
  const [program, ...args] = argv;
  if (program === undefined) throw new TypeError("empty argument vector");
  const input = inputFile === undefined ? undefined : openSync(inputFile, "r");
  try {
    const stdio: SpawnOptions["stdio"] = [input ?? "pipe", "pipe", "pipe"];
    return spawn(program, args, { detached: true, stdio, ...withoutUndefined({ cwd, env }) });
  } catch (error) {
    if (isSystemError(error, "E2BIG")) throw notStarted(argv, error);
    throw error;
  } finally {
    if (input !== undefined) closeSync(input);
  }
}

function notStarted(argv: readonly string[], error: unknown): ProgramFailure {
  const reason = isSystemError(error, "ENOENT") ? "no such program" : (error as Error).message;
  return new ProgramFailure(argv, reason, null, "", error);
}

interface Ending {
  status: number | null;
  signal: NodeJS.Signals | null;
  /** Why the program was ended, if it was. */
  ended?: string;
}

/**
 * Waits for a program's end, and for that of its output; ends it on timeout or abort.
 *
 * Its group is signalled only while the program runs, and in the moment that it has ended: afterwards the group's
 * number may be that of somebody else's.
 *
 * @param received how much it has printed so far.
 */
async function endOf(child: ChildProcess, options: RunOptions, received: () => number): Promise<Ending> {
  using timers = new DisposableStack();
  const after = (seconds: number, action: () => void) => {
    const timer = setTimeout(action, Math.min(seconds * 1000, timerMaxMilliseconds));
    timers.defer(() => clearTimeout(timer));
  };
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const result = Promise.withResolvers<Ending>();
  let exited: Ending | undefined;
  let ended: string | undefined;
  const end = (why: string) => {
    if (exited) return destroyOutput(child); // it has ended in time; who holds its output has not
    if (ended !== undefined) return;
    ended = why;
    killGroup(child.pid, "SIGTERM");
    after(termSeconds, () => {
      if (exited) return;
      killGroup(child.pid, "SIGKILL");
      after(killSeconds, () => {
        if (exited) return;
        child.unref();
        child.stdin?.destroy();
        destroyOutput(child);
        result.resolve({ status: null, signal: null, ended: `${why}, and it cannot be killed` });
      });
    });
  };
  child.once("exit", (status, signal) => {
    if (timers.disposed) return; // it was given up
    exited = { status, signal, ...withoutUndefined({ ended }) };
    if (ended !== undefined) killGroup(child.pid, "SIGKILL"); // what is left of its group
    // Whoever reads by himself may be slow.
    if (!options.output) timers.use(untilSilent(received, () => destroyOutput(child)));
    void closed.then(() => result.resolve(exited!));
  });
  after(options.timeoutSeconds, () => end(`no end after ${options.timeoutSeconds} s`));
  const onAbort = () => end("interrupted");
  options.signal?.addEventListener("abort", onAbort, { once: true });
  timers.defer(() => options.signal?.removeEventListener("abort", onAbort));
  return await result.promise;
}

/** Calls back once nothing has been received for a while, in which it was looked for. */
function untilSilent(received: () => number, callBack: () => void): Disposable {
  let seen = received();
  // In a process that was busy, timers come before what has arrived meanwhile: look once more after reading that.
  const timer = setInterval(
    () =>
      setImmediate(() => {
        if (received() === seen) callBack();
        seen = received();
      }),
    silenceSeconds * 1000,
  );
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

function destroyOutput(child: ChildProcess): void {
  child.stdout?.destroy();
  child.stderr?.destroy();
}

/** Sends a signal to a whole process group; a group that has ended is no error. */
export function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // ended already
  }
}

/** Of a stream that somebody else reads. */
function nothing(): ReturnType<typeof collect> {
  return { bytes: () => Buffer.alloc(0), text: () => "", total: 0 };
}

/** Keeps the end of a stream and passes its lines on. */
function collect(stream: Readable, keepBytes: number, onLine?: (line: string) => void) {
  let chunks: Buffer[] = [];
  let size = 0;
  let total = 0;
  const lines = new LineSplitter(longestLineBytes);
  stream.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    size += chunk.length;
    total += chunk.length;
    if (size > 2 * keepBytes) {
      const tail = Buffer.concat(chunks).subarray(-keepBytes);
      chunks = [Buffer.from(tail)];
      size = tail.length;
    }
    if (onLine) for (const { text } of lines.push(chunk)) onLine(text);
  });
  const endLines = () => {
    if (onLine) for (const { text } of lines.end()) onLine(text);
  };
  stream.on("close", endLines); // also when it is held open, and no longer listened to
  const bytes = () => Buffer.concat(chunks).subarray(-keepBytes);
  return {
    bytes,
    /** From the first whole character on, if it is only the end of it. */
    text: () => Buffer.from(total > keepBytes ? fromWholeCharacter(bytes()) : bytes()).toString(),
    get total() {
      return total;
    },
  };
}
