import { spawn, type SpawnOptions } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { Failure } from "./failure.ts";
import { LineSplitter } from "./text/lines.ts";

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

/**
 * Runs a program to its end: an argument vector (never a shell string), in a process group of its own that is
 * killed as a whole on timeout or abort (TERM, two seconds later KILL).
 *
 * @throws {ProgramFailure} with argv, exit status and the end of the output.
 */
export async function run(argv: readonly string[], options: RunOptions): Promise<RunResult> {
  const [program, ...args] = argv;
  if (program === undefined) throw new TypeError("empty argument vector");
  options.signal?.throwIfAborted();
  const inputFile = options.inputFile === undefined ? undefined : openSync(options.inputFile, "r");
  const settings: SpawnOptions = { detached: true, stdio: [inputFile ?? "pipe", "pipe", "pipe"] };
  if (options.cwd !== undefined) settings.cwd = options.cwd;
  if (options.env !== undefined) settings.env = options.env;
  const child = spawn(program, args, settings);
  const keep = options.keepBytes ?? 1024 * 1024;
  const stdout = collect(child.stdout!, keep, options.onLine);
  const stderr = collect(child.stderr!, keep, options.onLine);
  if (inputFile !== undefined) closeSync(inputFile);
  child.stdin?.on("error", () => {}); // the program may end before it has read its input
  child.stdin?.end(options.input ?? "");

  let ended: string | undefined;
  const end = (why: string) => {
    ended ??= why;
    killGroup(child.pid, "SIGTERM");
    setTimeout(() => killGroup(child.pid, "SIGKILL"), 2000).unref();
  };
  const timer = setTimeout(
    () => end(`no end after ${options.timeoutSeconds} s`),
    options.timeoutSeconds * 1000,
  );
  const onAbort = () => end("interrupted");
  options.signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const [status, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.once("error", (error: NodeJS.ErrnoException) => {
        const reason = error.code === "ENOENT" ? "no such program" : error.message;
        reject(new ProgramFailure(argv, reason, null, "", error));
      });
      child.once("close", (code, by) => resolve([code, by]));
    });
    const output = stdout.text() + stderr.text();
    if (ended !== undefined) throw new ProgramFailure(argv, ended, null, output);
    if (status === null) throw new ProgramFailure(argv, `ended by ${signal}`, null, output);
    if (status !== 0 && !options.accept?.includes(status))
      throw new ProgramFailure(argv, `exit status ${status}`, status, output);
    return { status, stdout: stdout.text(), stdoutBytes: stdout.bytes(), stderr: stderr.text() };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", onAbort);
  }
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

/** Keeps the end of a stream and passes its lines on. */
function collect(stream: NodeJS.ReadableStream, keepBytes: number, onLine?: (line: string) => void) {
  let chunks: Buffer[] = [];
  let size = 0;
  const lines = new LineSplitter(longestLineBytes);
  stream.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    size += chunk.length;
    if (size > 2 * keepBytes) {
      const tail = Buffer.concat(chunks).subarray(-keepBytes);
      chunks = [tail];
      size = tail.length;
    }
    if (onLine) for (const { text } of lines.push(chunk)) onLine(text);
  });
  stream.on("end", () => {
    if (onLine) for (const { text } of lines.end()) onLine(text);
  });
  const bytes = () => Buffer.concat(chunks).subarray(-keepBytes);
  return { bytes, text: () => bytes().toString("utf8") };
}
