/**
 * The conversation with one host: a shell there that first runs scripts of the boss (scripts.ts), and then becomes the
 * worker. One process and one connection for both, so that the lock that the shell has taken is the worker's, and both
 * end with the connection.
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { Deadline } from "../../os/deadline.ts";
import { Failure, reasonOf } from "../../os/failure.ts";
import { LineSplitter } from "../../os/text/lines.ts";
import { killGroup } from "../../os/run.ts";
import { formatCommand, parseResponse, type Command, type Response } from "../../worker/protocol.ts";
import type { Host } from "./hosts.ts";
import { marker, shellLoop } from "./scripts.ts";
import { remoteCommand, type SshSettings } from "./ssh.ts";
import type { TrafficLog } from "./traffic-log.ts";

/** After its input is closed, a worker has this long to end; then TERM, and then KILL. */
const closeSeconds = 2;
const termSeconds = 3;
/** Nothing survives KILL but what waits for a dead file server: that is left behind. */
const killSeconds = 5;
/** What has ended may have left its output open to something it started: that long it is still read. */
const outputSeconds = 2;
/** Of a line of standard error. */
const complaintMaxBytes = 4096;
/** What a host may print without saying anything, before it is a worker: banners, and what a login shell runs. */
const chatterMaxBytes = 16 * 1024 * 1024;
/** The same of a worker, whose messages may have the longest line that is read, and noise before it. */
const workerChatterMaxBytes = 320 * 1024 * 1024;
/** Answers to a script: more than there are architectures. */
const mostAnswers = 1000;

/** What a worker says. */
export interface WorkerListener {
  message(message: Response): void;
  /** A message of a kind that is not known here: nothing but a sign of life. */
  alive(): void;
  /** A line with the worker's prefix that cannot be read: the worker counts as lost. */
  broken(reason: string): void;
  /** A line of its standard error. */
  complaint(line: string): void;
}

export class HostConnection implements AsyncDisposable {
  readonly host: Host;
  /** Settles when the process has ended and everything it wrote has been read; why, in words. */
  readonly closed: Promise<string>;
  bytesSent = 0;
  bytesReceived = 0;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #log: TrafficLog | undefined;
  readonly #floods = Promise.withResolvers<string>();
  /** Bytes since it last said something that was meant for us. */
  #chatterBytes = 0;
  #events: WorkerListener | undefined;
  #onAnswer: ((line: string) => void) | undefined;
  #lastComplaint = "";
  #over = false;
  #dropped: Promise<void> | undefined;

  constructor(host: Host, ssh: SshSettings, log?: TrafficLog) {
    this.host = host;
    this.#log = log;
    const [program, ...args] = remoteCommand(host, ssh, "master", shellLoop);
    // A group of its own: the terminal's Ctrl-C is for the boss, which ends workers in its own order.
    this.#child = spawn(program!, args, { detached: true, stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stdin.on("error", () => {}); // told by `closed`
    this.closed = this.#observe();
  }

  /** The last line of its standard error: most often the reason of an end. */
  get lastComplaint(): string {
    return this.#lastComplaint;
  }

  /**
   * Runs a script there.
   *
   * @returns its answers, up to and with the first that is not `has …`.
   * @throws {Failure} if the connection ends, or there is no answer in time.
   */
  async evaluate(script: string, timeoutSeconds: number, signal?: AbortSignal): Promise<string[]> {
    const answers: string[] = [];
    const last = Promise.withResolvers<void>();
    this.#onAnswer = (line) => {
      answers.push(line);
      if (answers.length > mostAnswers) return this.#flood(`it gives more than ${mostAnswers} answers`);
      if (!line.startsWith("has ")) last.resolve();
    };
    using deadline = new Deadline(timeoutSeconds, signal);
    try {
      this.#write(`${Buffer.byteLength(script)}\n${script}`);
      const outcome = await Promise.race([last.promise, this.#floods.promise, this.closed, deadline.passed]);
      signal?.throwIfAborted();
      if (answers.length > 0 && !answers.at(-1)!.startsWith("has ")) return answers;
      const reason = outcome === "late" ? `no answer within ${timeoutSeconds} s` : String(outcome);
      throw new Failure(`use host ${this.host.name}`, reason);
    } finally {
      this.#onAnswer = undefined;
    }
  }

  /** From now on it is a worker: what it says goes to the events. */
  becomeWorker(script: string, events: WorkerListener): void {
    this.#events = events;
    this.#write(`${Buffer.byteLength(script)}\n${script}`);
  }

  send(message: Command): void {
    const line = formatCommand(message);
    this.#log?.sent(line);
    this.#write(line);
  }

  /** Ends the process: closes its input, and is harsher if that does not help. Never fails. */
  drop(): Promise<void> {
    this.#dropped ??= this.#end();
    return this.#dropped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.drop();
  }

  async #end(): Promise<void> {
    this.#child.stdin.end();
    for (const [seconds, signal] of [
      [closeSeconds, "SIGTERM"],
      [termSeconds, "SIGKILL"],
    ] as const) {
      if (await this.#endsWithin(seconds)) return;
      killGroup(this.#child.pid, signal);
    }
    await this.#endsWithin(killSeconds);
  }

  async #endsWithin(seconds: number): Promise<boolean> {
    using deadline = new Deadline(seconds);
    await Promise.race([this.closed, deadline.passed]);
    return this.#over;
  }

  #write(text: string): void {
    if (this.#over) return;
    this.bytesSent += Buffer.byteLength(text);
    const input = this.#child.stdin;
    if (input.writableCorked === 0) {
      input.cork(); // what is said in one go travels in one go
      process.nextTick(() => input.uncork());
    }
    input.write(text);
  }

  #receive(line: string): void {
    if (line.startsWith(marker)) {
      if (this.#onAnswer) this.#chatterBytes = 0;
      this.#onAnswer?.(line.slice(marker.length).trim());
      return;
    }
    const parsed = parseResponse(line);
    if (parsed.kind === "noise") {
      if (line !== "") this.#log?.note(line); // a banner, or what a program prints
      return;
    }
    this.#chatterBytes = 0;
    this.#log?.received(line);
    if (parsed.kind === "invalid") this.#events?.broken(parsed.reason);
    else if (parsed.kind === "message") this.#events?.message(parsed.message);
    else this.#events?.alive();
  }

  async #observe(): Promise<string> {
    const child = this.#child;
    this.#readLines(child.stdout, (line) => this.#receive(line));
    this.#readLines(child.stderr, (line) => this.#complain(line), complaintMaxBytes);
    const reason = await new Promise<string>((resolve) => {
      child.once("error", (error) => {
        if (child.pid === undefined) resolve(`ssh cannot be run: ${reasonOf(error)}`);
      });
      child.once("exit", () => {
        setTimeout(() => {
          child.stdout.destroy();
          child.stderr.destroy();
        }, outputSeconds * 1000).unref();
      });
      child.once("close", (code, signal) =>
        resolve(
          signal ? `the connection was ended by ${signal}` : `the connection ended with status ${code}`,
        ),
      );
    });
    this.#over = true;
    return this.#lastComplaint === "" ? reason : `${reason}: ${this.#lastComplaint}`;
  }

  #readLines(stream: Readable, onLine: (line: string) => void, maxBytes?: number): void {
    const lines = new LineSplitter(maxBytes);
    stream.on("data", (chunk: Buffer) => {
      this.bytesReceived += chunk.length;
      this.#chatterBytes += chunk.length;
      const most = this.#events ? workerChatterMaxBytes : chatterMaxBytes;
      if (this.#chatterBytes > most)
        return this.#flood("it prints without end, and nothing that is meant for us");
      for (const { text } of lines.push(chunk)) onLine(text);
    });
    stream.on("end", () => {
      for (const { text } of lines.end()) onLine(text);
    });
  }

  /** Nothing more is read of it. */
  #flood(reason: string): void {
    this.#child.stdout.destroy();
    this.#child.stderr.destroy();
    this.#floods.resolve(reason);
    this.#events?.broken(reason);
    void this.drop();
  }

  #complain(line: string): void {
    const text = line.trimEnd();
    if (text === "") return;
    this.#lastComplaint = text;
    this.#log?.note(text);
    this.#events?.complaint(text);
  }
}
