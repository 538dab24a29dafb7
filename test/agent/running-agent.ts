/** The agent as a process, in directories of its own. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { packageFile } from "../../os/files/package.ts";
import { patienceSeconds } from "../fixtures/patience.ts";
import { freePort } from "../fixtures/ports.ts";

export const header = ": 1\nid: m-1\nname: m\nsummary: A machine\n";
export const task =
  "name: hello\nversion: 1.0\nrepository-url: https://example.org/hello.git#v1\nmachine: m\ntarget: x86_64-linux-gnu\n";

export interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Directories for agents, one after another; the next one finds what the one before left. */
export class AgentHome implements AsyncDisposable {
  readonly path: string;
  readonly tftpPort: number;
  readonly #directory: AsyncDisposable;
  readonly #children = new Set<ChildProcess>();
  /** What runs a command on the agent's host. */
  readonly #on: readonly string[];

  private constructor(path: string, tftpPort: number, directory: AsyncDisposable, on: readonly string[]) {
    this.path = path;
    this.#on = on;
    this.tftpPort = tftpPort;
    this.#directory = directory;
    mkdirSync(this.at("machines"));
    writeFileSync(this.at("machine.manifest"), header);
  }

  /** @param on the beginning of a command line that runs the rest on another host, or in what stands for one */
  static async make(on: readonly string[] = []): Promise<AgentHome> {
    const directory = await temporaryDirectory("croft-test-agent-");
    return new AgentHome(directory.path, await freePort(), directory, on);
  }

  at(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  /** Starts an agent; `fake` gives it the fake machine `m`, `environment` more variables. */
  start(
    args: readonly string[],
    { fake = true, environment = {} }: { fake?: boolean; environment?: Record<string, string> } = {},
  ): { child: ChildProcess; ended: Promise<Ended> } {
    const places = ["machines", "tftp", "spool", "runtime"].flatMap((name) => [`--${name}`, this.at(name)]);
    const fixed = [
      ...places,
      "--tftp-port",
      String(this.tftpPort - 1),
      "--toolchain-lock",
      this.at("toolchain.lock"),
    ];
    const machine = fake ? ["--fake-machine", this.at("machine.manifest")] : [];
    const [command, ...argv] = [
      ...this.#on,
      process.execPath,
      packageFile("bin", "croft.js"),
      "agent",
      "--poll-interval",
      "1",
      ...fixed,
      ...machine,
      ...args,
    ];
    const child = spawn(command!, argv, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment },
    });
    this.#children.add(child);
    const ended = Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]).then(
      ([stdout, stderr, [status]]) => {
        this.#children.delete(child);
        return { stdout, stderr, status: status as number | null };
      },
    );
    return { child, ended };
  }

  /** Plays the machine that gets its task; waits until there is one. */
  async readTask(): Promise<void> {
    await this.#curl("-o", "/dev/null", `tftp://127.0.0.1:${this.tftpPort}/task.manifest`);
  }

  /** Plays the machine that sends its result. */
  async upload(result: string): Promise<void> {
    writeFileSync(this.at("result"), result);
    await this.#curl("-T", this.at("result"), `tftp://127.0.0.1:${this.tftpPort}/result.manifest`);
  }

  async #curl(...args: string[]): Promise<void> {
    const patience = ["--retry", String(patienceSeconds), "--retry-all-errors", "--retry-delay", "1"];
    await run([...this.#on, "curl", "-sS", ...patience, ...args], { timeoutSeconds: patienceSeconds });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      const gone = once(child, "close");
      child.kill("SIGKILL");
      await gone;
    }
    await this.#directory[Symbol.asyncDispose]();
  }
}

/** Writes a result where a machine would have uploaded it, complete at once. */
export function resultText(status = "success", name = "hello"): string {
  return `: 1\nname: ${name}\nversion: 1.0\nstatus: ${status}\nupdate-status: ${status}\nupdate-log: as expected\n`;
}
