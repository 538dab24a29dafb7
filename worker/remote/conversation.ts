/**
 * A worker's conversation with its boss: commands on the input, responses on the output, until `quit` or the end of
 * either. The format is in worker/protocol.ts.
 *
 * Commands are done one after the other, so that each is answered in its turn; `quit` and the end of the input are
 * seen at once, whatever is going on. A command that is wrong or cannot be done is answered with `error`, and the
 * conversation goes on. However the conversation ends, all that it started ends with it (worker/remote/guard.ts).
 */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Readable, Writable } from "node:stream";
import { Failure } from "../../os/failure.ts";
import { LineSplitter } from "../../os/text/lines.ts";
import { formatResponse, parseCommand, type Command, type Response, type Settings } from "../protocol.ts";
import { Guard } from "./guard.ts";
import { Ended, Processes } from "./processes.ts";
import { recipeOf } from "./recipes.ts";
import { Repository } from "./repository.ts";
import { Round } from "./round.ts";
import { expandHome } from "./toolchain.ts";

/** What a conversation needs. */
export interface ConversationOptions {
  input: Readable;
  output: Writable;
  /** The worker's own messages, without newline. */
  log: (text: string) => void;
  /** Where the repository is, unless `setup` says otherwise. */
  workDir: string;
  /** Targets at a time, and jobs in all. */
  threads: number;
  heartbeatSeconds: number;
  /** Ends the conversation, and all that it started, at once. */
  signal?: AbortSignal;
}

type Of<Name extends Command["cmd"]> = Extract<Command, { cmd: Name }>;

const longestCommandBytes = 64 * 1024 * 1024;
/** Commands that are read ahead. */
const mostPending = 10_000;

/** A conversation with a boss; see {@link Conversation.run}. */
export class Conversation implements Disposable {
  readonly #options: ConversationOptions;
  readonly #guard = new Guard(() => this.#loseGuard());
  readonly #processes = new Processes(this.#guard);
  readonly #over = Promise.withResolvers<void>();
  #repository: Repository;
  #settings: Settings = {};
  #toolchains: Readonly<Record<string, string>> = {};
  #round: Round | undefined;
  #last: Promise<void> = Promise.resolve();
  #pending = 0;
  #ending = false;

  constructor(options: ConversationOptions) {
    this.#options = options;
    this.#repository = new Repository(resolve(options.workDir), this.#processes);
  }

  /** Talks with the boss until one of the two ends it. */
  async run(): Promise<void> {
    const { input, output, threads, signal } = this.#options;
    const splitter = new LineSplitter(longestCommandBytes);
    input.on("data", (chunk: Buffer) => {
      for (const { text, missing } of splitter.push(chunk)) this.#receive(text, missing);
    });
    for (const event of ["end", "close", "error"]) input.on(event, () => this.#end());
    output.on("error", () => this.#end()); // the boss has closed it
    signal?.addEventListener("abort", () => this.#end());
    if (signal?.aborted) this.#end();
    void this.#send({ resp: "ready", nthreads: threads, slots: threads });
    await this.#over.promise;
  }

  /** Ends every process that is still running. */
  [Symbol.dispose](): void {
    this.#end();
    this.#guard[Symbol.dispose]();
  }

  #end(): void {
    this.#stop();
    this.#over.resolve();
  }

  #loseGuard(): void {
    this.#options.log("Cannot go on: no guard process can be kept running on this host");
    this.#end();
  }

  #stop(): void {
    this.#ending = true;
    this.#processes.end();
  }

  #receive(line: string, missing: number): void {
    if (this.#ending) return;
    const parsed = missing > 0 ? tooLong(missing) : parseCommand(line);
    if (parsed.kind === "message" && parsed.message.cmd === "quit") return void this.#quit();
    if (++this.#pending === mostPending) this.#options.input.pause();
    this.#last = this.#last
      .then(() => this.#answer(parsed))
      .then(() => {
        if (--this.#pending === mostPending / 2) this.#options.input.resume();
      });
  }

  /** What was asked for before is answered, as far as it can be at once; what runs is ended, and not answered. */
  async #quit(): Promise<void> {
    this.#stop();
    await this.#last;
    await this.#send({ resp: "quit_ack" });
    this.#over.resolve();
  }

  async #answer(parsed: ReturnType<typeof parseCommand>): Promise<void> {
    try {
      if (parsed.kind === "nothing") return;
      if (parsed.kind === "unknown") throw new CommandError(`unknown command: ${parsed.name}`);
      if (parsed.kind === "invalid") throw new CommandError(parsed.reason);
      await this.#perform(parsed.message);
    } catch (error) {
      if (error instanceof Ended) return;
      if (!(error instanceof Failure) && !(error instanceof CommandError))
        this.#options.log(error instanceof Error ? (error.stack ?? error.message) : String(error));
      await this.#send({ resp: "error", msg: error instanceof Error ? error.message : String(error) });
    }
  }

  async #perform(command: Command): Promise<void> {
    switch (command.cmd) {
      case "setup":
        return await this.#setUp(command);
      case "configure":
        recipeOf(command.settings); // one that there is not is told now
        this.#settings = command.settings;
        this.#toolchains = command.toolchains;
        return await this.#send({ resp: "configure_done" });
      case "build_prepare":
        await this.#prepare(command.commits, command.max_boards);
        return await this.#send({ resp: "build_prepare_done" });
      case "build_board":
        if (!this.#round) throw new CommandError("no builder (send build_prepare first)");
        return this.#round.add(command);
      case "build_done":
        return await this.#finish();
      case "build_boards":
        return await this.#buildAll(command);
      case "quit": // is not queued
    }
  }

  async #setUp({ work_dir }: Of<"setup">): Promise<void> {
    this.#refuseWhileBuilding();
    let path = work_dir;
    if (path === undefined) {
      path = await mkdtemp(join(tmpdir(), "croft-worker-"));
      await this.#guard.removeAtEnd(path);
    }
    this.#repository = new Repository(resolve(expandHome(path)), this.#processes);
    this.#round = undefined;
    const git_dir = await this.#repository.create();
    await this.#send({ resp: "setup_done", work_dir: this.#repository.workDir, git_dir });
  }

  /** Makes a round; of the current source, the boss is told only that it is ready. */
  async #prepare(commits: Of<"build_prepare">["commits"], mostBoards = 0): Promise<Round> {
    this.#refuseWhileBuilding();
    this.#round = undefined;
    const { threads: processors, heartbeatSeconds, log } = this.#options;
    const threads = mostBoards > 0 ? Math.min(processors, mostBoards) : processors;
    const isCurrent = commits[0] === null;
    const tell = async (response: Response) => (isCurrent ? undefined : await this.#send(response));
    const hashes = isCurrent ? [await this.#repository.currentSource()] : (commits as readonly string[]);
    await tell({ resp: "build_started", num_threads: threads });
    const worktrees = await this.#repository.worktrees(threads, hashes, (thread) => {
      void tell({ resp: "worktree_created", thread });
    });
    this.#round = new Round({
      plan: { settings: this.#settings, recipe: recipeOf(this.#settings), processes: this.#processes },
      ...{ repository: this.#repository, worktrees, commits: hashes, toolchains: this.#toolchains },
      heartbeatSeconds: this.#settings.heartbeat ?? heartbeatSeconds,
      ...{ processors, log, send: (response) => this.#send(response) },
    });
    return this.#round;
  }

  async #buildAll({ boards, commits }: Of<"build_boards">): Promise<void> {
    const round = await this.#prepare(commits);
    for (const board of boards) round.add(board);
    await this.#finish();
  }

  async #finish(): Promise<void> {
    const exceptions = (await this.#round?.done()) ?? 0;
    if (this.#ending) throw new Ended();
    this.#round = undefined;
    await this.#send({ resp: "build_done", exceptions });
  }

  #refuseWhileBuilding(): void {
    if (this.#round?.busy) throw new CommandError("builds are running (send build_done first)");
  }

  /** Resolves when the output has taken the response. */
  async #send(response: Response): Promise<void> {
    if (!this.#options.output.writable) return;
    await new Promise<void>((resolve) =>
      this.#options.output.write(formatResponse(response), () => resolve()),
    );
  }
}

/** A command that is not done; its message is the answer. */
class CommandError extends Error {}

function tooLong(missing: number): ReturnType<typeof parseCommand> {
  const reason = `invalid JSON: the line is ${missing} bytes longer than ${longestCommandBytes}`;
  return { kind: "invalid", reason };
}
