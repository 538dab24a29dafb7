/** The other host, by the system's ssh, so that the user's own configuration, agent and jump hosts apply. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { Failure } from "../../os/failure.ts";
import { LineSplitter } from "../../os/text/lines.ts";
import { Conversation, stepMark, type Misunderstanding } from "./conversation.ts";

/** How often a silent connection is asked for a sign of life, and how often in vain before it is given up. */
const [aliveSeconds, aliveCount, connectSeconds] = [15, 4, 60];
const complaintMaxBytes = 4096;
/** Exit statuses: of a shell that does not find croft, of one that has no such command, and of ssh itself. */
const [noProgram, wrongUsage, noConnection] = [127, 2, 255];
/** After it is told to. */
const endMilliseconds = 5000;

/** Says what is wrong with the name of a host for ssh, or undefined. */
export function checkHost(host: string): string | undefined {
  return /^[^-\s\p{Cc}][^\s\p{Cc}]*$/u.test(host)
    ? undefined
    : "expected what ssh takes: HOST, USER@HOST or a name of its configuration";
}

/** A program on another host, and what it says. */
export class OtherHost implements AsyncDisposable {
  readonly conversation: Conversation;
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  readonly #complaints: string[] = [];

  /**
   * @param command for its shell.
   * @param onLine gets the lines of its standard error.
   */
  constructor(host: string, command: string, onLine: (line: string) => void, signal: AbortSignal) {
    const option = (name: string, value: string | number) => ["-o", `${name}=${value}`];
    const args = [
      ...["-T", ...option("ConnectTimeout", connectSeconds)],
      ...option("ServerAliveInterval", aliveSeconds),
      ...option("ServerAliveCountMax", aliveCount),
    ];
    // In this process group: it may ask for a password at the terminal.
    const child = spawn("ssh", [...args, "--", host, command], { stdio: ["pipe", "pipe", "pipe"] });
    this.#child = child;
    signal.addEventListener("abort", () => child.kill(), { once: true });
    this.#closed = once(child, "close").catch((error: unknown) =>
      this.#complaints.push(`ssh: ${String(error)}`),
    );
    this.conversation = new Conversation(child.stdout, child.stdin, { signal });
    const lines = new LineSplitter(complaintMaxBytes);
    child.stderr.on("data", (chunk: Buffer) => {
      for (const line of lines.push(chunk)) {
        const text = line.text.replace(/\r$/, ""); // ssh's own have one
        const isStep = text.startsWith(stepMark);
        onLine(isStep ? text.slice(stepMark.length) : text);
        if (!isStep) this.#complaints.push(text);
        if (this.#complaints.length > 4) this.#complaints.shift();
      }
    });
  }

  /** Why it does not go on: what it says itself, rather than what is missed here. */
  async failureOf(action: string, { message }: Misunderstanding): Promise<Failure> {
    await this[Symbol.asyncDispose]();
    const { exitCode } = this.#child;
    const itself = this.#complaints.findLast((line) => line.startsWith("croft: "));
    const hasEnded = message.startsWith("it ended");
    // What ssh says of it is up to its LogLevel; its status is that of a program which was killed, too.
    const lost =
      hasEnded && exitCode === noConnection ? "the connection is lost, or croft there was killed" : undefined;
    const said = itself ?? (hasEnded ? this.#complaints.at(-1) : undefined) ?? lost;
    const isWrong = exitCode === noProgram || exitCode === wrongUsage || message.includes("instead of");
    return new Failure(action, said?.replace(/^croft: /, "") ?? message, {
      hints: isWrong
        ? [
            "It takes croft of this version there (--croft says how it is called), and a shell that prints nothing by itself.",
          ]
        : [],
    });
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    this.#child.stdout?.destroy(); // it may say anything, for ever
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), endMilliseconds);
    await this.#closed;
    clearTimeout(timer);
  }
}
