/** `croft boss` as a process, and what it says with --json. */
import { spawn, type ChildProcess } from "node:child_process";
import { packageFile } from "../../os/files/package.ts";
import { LineSplitter } from "../../os/text/lines.ts";
import type { SshHosts } from "./ssh-hosts.ts";
import { patienceMs } from "../fixtures/patience.ts";

export type BossEvent = Record<string, unknown> & { event: string };

/** The last event of a run. */
export interface SummaryEvent extends BossEvent {
  totals: { built: number; warning: number; failed: number; missing: number };
  already: number;
  remaining: string[];
  givenUp: Record<string, string>;
  withoutToolchain: string[];
  absent: { host: string; reason: string; busy: boolean }[];
  lost: { host: string; reason: string }[];
}

export interface BossEnd {
  status: number | null;
  stdout: string;
  stderr: string;
}

export class RunningBoss implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly ended: Promise<BossEnd>;
  readonly events: BossEvent[] = [];
  #onEvent: (() => void) | undefined;
  #stdout = "";
  #stderr = "";

  constructor(args: readonly string[], hosts: SshHosts, source: string) {
    this.child = spawn(process.execPath, [packageFile("bin", "main.ts"), "boss", ...args], {
      cwd: source,
      env: { ...hosts.env, HOME: `${hosts.directory}/desk`, TMPDIR: hosts.directory, XDG_STATE_HOME: "" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const lines = new LineSplitter();
    this.child.stdout!.on("data", (chunk: Buffer) => {
      this.#stdout += chunk.toString();
      for (const { text } of lines.push(chunk)) this.#note(text);
    });
    this.child.stderr!.setEncoding("utf8").on("data", (text: string) => (this.#stderr += text));
    this.ended = new Promise((resolve) =>
      this.child.once("close", (status) => {
        resolve({ status, stdout: this.#stdout, stderr: this.#stderr });
        this.#onEvent?.();
      }),
    );
  }

  /** Waits until as many events as told are like this. */
  async until(isLike: (event: BossEvent) => boolean, count = 1): Promise<BossEvent> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const found = this.events.filter(isLike);
      if (found.length >= count) return found[count - 1]!;
      if (this.child.exitCode !== null) throw new Error(`the boss ended: ${this.#stdout}${this.#stderr}`);
      if (performance.now() > deadline) throw new Error(`no such event: ${this.#stdout}${this.#stderr}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000);
        this.#onEvent = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  get summary(): SummaryEvent {
    const last = this.events.at(-1);
    if (last?.event !== "summary") throw new Error(`no summary: ${this.#stdout}${this.#stderr}`);
    return last as SummaryEvent;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.ended;
  }

  #note(line: string): void {
    if (!line.startsWith("{")) return;
    this.events.push(JSON.parse(line) as BossEvent);
    this.#onEvent?.();
  }
}

/** Runs to the end. */
export async function runBoss(
  args: readonly string[],
  hosts: SshHosts,
  source: string,
): Promise<BossEnd & { boss: RunningBoss }> {
  const boss = new RunningBoss(args, hosts, source);
  return { ...(await boss.ended), boss };
}
