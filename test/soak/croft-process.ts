/** A croft command as a process that may be killed and started again, by the same command line. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { packageFile } from "../../os/files/package.ts";

export class CroftProcess implements AsyncDisposable {
  readonly name: string;
  /** Everything that all its lives have said. */
  readonly log: string;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;
  #ended: Promise<[number | null, NodeJS.Signals | null]> | undefined;

  constructor(name: string, args: readonly string[], log: string) {
    this.name = name;
    this.#args = args;
    this.log = log;
  }

  start(): void {
    const output = openSync(this.log, "a");
    // setpriv replaces itself, so the process is the command's own; it does not outlive this one.
    const argv = [
      "--pdeathsig",
      "KILL",
      "--",
      process.execPath,
      packageFile("bin", "croft.js"),
      ...this.#args,
    ];
    this.#child = spawn("setpriv", argv, { stdio: ["ignore", output, output] });
    closeSync(output);
    this.#ended = once(this.#child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    const child = this.#child;
    return child && child.exitCode === null && child.signalCode === null ? child.pid : undefined;
  }

  /** Sends a signal and waits for the end; its exit status, or the signal's name. */
  async end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null> {
    this.#child?.kill(signal);
    return this.ended();
  }

  /** Settled when it has ended: its exit status, or the signal's name. */
  async ended(): Promise<number | NodeJS.Signals | null> {
    const [status, by] = (await this.#ended) ?? [null, null];
    return status ?? by;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
  }
}
