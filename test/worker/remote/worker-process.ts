/** A worker as a boss has it: a process with three pipes. */
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { once } from "node:events";
import { packageFile } from "../../../os/files/package.ts";
import { LineSplitter } from "../../../os/text/lines.ts";
import { killGroup } from "../../../os/run.ts";
import {
  formatCommand,
  parseResponse,
  type BuildResult,
  type Command,
  type Response,
} from "../../../worker/protocol.ts";

/** Generous: the host may be busy. */
const deadlineMs = 600_000;

export interface WorkerSettings {
  workDir?: string;
  threads?: number;
  env?: NodeJS.ProcessEnv;
  /** The entry file, instead of the source tree's. */
  entry?: string;
  /** Further descriptors. */
  stdio?: StdioOptions;
}

export class WorkerProcess implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  /** All that it has written on standard error. */
  errors = "";
  readonly #received: Response[] = [];
  #wake = Promise.withResolvers<void>();
  #closed = false;

  constructor(settings: WorkerSettings = {}) {
    const entry = settings.entry ?? packageFile("worker", "remote", "main.ts");
    const args = [entry, "--threads", String(settings.threads ?? 2)];
    if (settings.workDir !== undefined) args.push("--work-dir", settings.workDir);
    this.child = spawn(process.execPath, args, {
      env: settings.env ?? process.env,
      stdio: settings.stdio ?? "pipe",
      detached: true,
    });
    this.exited = once(this.child, "exit").then(([status]) => status as number | null);
    const splitter = new LineSplitter();
    this.child.stdout!.on("data", (chunk: Buffer) => {
      for (const { text } of splitter.push(chunk)) this.#take(text);
    });
    this.child.stdout!.on("close", () => {
      this.#closed = true;
      this.#wake.resolve();
    });
    this.child.stderr!.setEncoding("utf8").on("data", (text: string) => (this.errors += text));
    this.child.stdin!.on("error", () => {});
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** Sends a command, or a line as it is. */
  send(command: Command | string): void {
    this.child.stdin!.write(typeof command === "string" ? `${command}\n` : formatCommand(command));
  }

  /** The next response, `heartbeat` included. */
  async next(): Promise<Response> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new Error(`no response; stderr:\n${this.errors}`)),
      deadlineMs,
    );
    try {
      while (this.#received.length === 0) {
        if (this.#closed) throw new Error(`the worker has closed its output; stderr:\n${this.errors}`);
        await Promise.race([this.#wake.promise, late.promise]);
        this.#wake = Promise.withResolvers();
        if (this.#closed) this.#wake.resolve();
      }
    } finally {
      clearTimeout(timer);
    }
    return this.#received.shift()!;
  }

  /** The next response, which must be of this kind. */
  async expect<Kind extends Response["resp"]>(kind: Kind): Promise<Extract<Response, { resp: Kind }>> {
    const response = await this.next();
    if (response.resp !== kind)
      throw new Error(
        `${kind} expected, got ${JSON.stringify(response).slice(0, 2000)}; stderr:\n${this.errors}`,
      );
    return response as Extract<Response, { resp: Kind }>;
  }

  /** All responses up to the first of this kind, that one included. */
  async until(kind: Response["resp"]): Promise<Response[]> {
    const all: Response[] = [];
    do all.push(await this.next());
    while (all.at(-1)!.resp !== kind);
    return all;
  }

  /** Results up to `build_done`, which must count no exceptions unless told. */
  async results(exceptions = 0): Promise<BuildResult[]> {
    const all = await this.until("build_done");
    const done = all.at(-1) as Extract<Response, { resp: "build_done" }>;
    if (done.exceptions !== exceptions)
      throw new Error(`${done.exceptions} exceptions; stderr:\n${this.errors}`);
    return all.filter((response) => response.resp === "build_result");
  }

  /** Closes the worker's input, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.child.stdin!.end();
    const timer = setTimeout(() => killGroup(this.child.pid, "SIGKILL"), deadlineMs);
    await this.exited;
    clearTimeout(timer);
  }

  #take(line: string): void {
    const parsed = parseResponse(line);
    if (parsed.kind !== "message") throw new Error(`strange line of the worker: ${line.slice(0, 2000)}`);
    this.#received.push(parsed.message);
    this.#wake.resolve();
  }
}
