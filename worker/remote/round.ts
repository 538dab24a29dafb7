/**
 * What happens between `build_prepare` and `build_done`: targets are built in parallel, each by one of the threads
 * in the thread's own worktree, and each at its commits in their order.
 */
import { statfsSync } from "node:fs";
import { loadavg } from "node:os";
import { Failure } from "../../os/failure.ts";
import { diskFullText } from "../disk-full.ts";
import { returnCodes, type BuildResult, type Response, type Target } from "../protocol.ts";
import { JobPool } from "./job-pool.ts";
import { keptPatterns, pieceOf, sendOutputs } from "./outputs.ts";
import { Ended } from "./processes.ts";
import type { Repository } from "./repository.ts";
import { TargetBuild, type BuildPlan, type Outcome } from "./target-build.ts";
import { findToolchain } from "./toolchain.ts";
import type { Worktree } from "./worktree.ts";

/** What a round is made of. */
export interface RoundOptions {
  plan: BuildPlan;
  repository: Repository;
  /** One for each thread. */
  worktrees: readonly Worktree[];
  /** What `commit_upto` counts. */
  commits: readonly string[];
  toolchains: Readonly<Record<string, string>>;
  /** Processors that the builds have in all. */
  processors: number;
  heartbeatSeconds: number;
  /** Resolves when the response is on its way; waiting for it keeps results from piling up. */
  send: (response: Response) => Promise<void>;
  log: (text: string) => void;
}

/** Builds a target at a commit, which is the so-many-th of the round. */
type Builder = (commit: string, index: number) => Promise<Outcome>;

/** The targets of a round, from the queue to their last result. */
export class Round {
  readonly #options: RoundOptions;
  readonly #jobs: JobPool;
  readonly #queue: Target[] = [];
  readonly #idle: Worktree[];
  readonly #hashes = new Map<string, Promise<string>>();
  #active = 0;
  #exceptions = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(options: RoundOptions) {
    this.#options = options;
    this.#jobs = new JobPool(options.processors);
    this.#idle = [...options.worktrees];
  }

  get busy(): boolean {
    return this.#active > 0;
  }

  /**
   * Queues a target.
   *
   * @throws {Failure} if it names a commit that was not prepared.
   */
  add(target: Target): void {
    const beyond = target.commits?.find((index) => index >= this.#options.commits.length);
    if (beyond !== undefined)
      throw new Failure(`build '${target.board}' at commit ${beyond}`, "no such commit was prepared");
    this.#queue.push(target);
    this.#startNext();
  }

  /** Waits until all that was queued is built; returns how often the worker, not the build, was at fault. */
  async done(): Promise<number> {
    while (this.busy) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.#exceptions;
  }

  #startNext(): void {
    const worktree = this.#queue.length > 0 ? this.#idle.shift() : undefined;
    if (!worktree) return;
    const target = this.#queue.shift()!;
    this.#active++;
    void this.#buildTarget(target, worktree).finally(() => {
      this.#active--;
      this.#idle.push(worktree);
      this.#idle.sort((a, b) => a.thread - b.thread);
      this.#startNext();
      if (!this.busy) for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  /** Builds a target at all its commits; nothing that goes wrong with it touches another. */
  async #buildTarget(target: Target, worktree: Worktree): Promise<void> {
    const { board } = target;
    const alive = () => this.#options.send({ resp: "heartbeat", board, thread: worktree.thread });
    const timer = setInterval(() => void alive(), this.#options.heartbeatSeconds * 1000);
    try {
      await alive();
      const commits = target.commits ?? this.#options.commits.keys();
      const build = await this.#builder(target, worktree);
      for (const index of [...new Set(commits)].sort((a, b) => a - b))
        await this.#buildAt(index, board, build);
    } catch (error) {
      if (error instanceof Ended) this.#queue.length = 0;
      else this.#complain(board, error);
    } finally {
      clearInterval(timer);
    }
  }

  /** What builds a target at a commit; without a toolchain, says so. */
  async #builder(target: Target, worktree: Worktree): Promise<Builder> {
    const { plan, toolchains } = this.#options;
    const toolchain = await findToolchain(target.arch, toolchains);
    if (typeof toolchain === "string") {
      const none = { return_code: returnCodes.noToolchain, stdout: "", stderr: `${toolchain}\n` };
      return () => Promise.resolve(none);
    }
    const build = new TargetBuild(plan, target, worktree, toolchain);
    return async (commit, index) => {
      const hash = await this.#resolve(commit);
      const outcome = await this.#buildWithShare(build, hash);
      if (outcome.return_code !== returnCodes.built) return outcome;
      const patterns = keptPatterns(plan.settings, plan.recipe);
      if (patterns.length === 0) return outcome;
      const send = (piece: { name: string; data: string }) =>
        this.#options.send(pieceOf(target.board, index, piece));
      return { ...outcome, outputs: await sendOutputs(worktree.output, patterns, send) };
    };
  }

  async #buildWithShare(build: TargetBuild, hash: string): Promise<Outcome> {
    const { settings } = this.#options.plan;
    using share = settings.jobs === undefined ? await this.#share() : undefined;
    return await build.buildAt(hash, share?.jobs ?? settings.jobs!);
  }

  /** A commit's hash, asked for once in a round. */
  #resolve(commit: string): Promise<string> {
    const known = this.#hashes.get(commit) ?? this.#options.repository.resolve(commit);
    this.#hashes.set(commit, known);
    return known;
  }

  async #share() {
    const threads = this.#options.worktrees.length;
    return await this.#jobs.take(() => Math.min(threads, this.#active + this.#queue.length));
  }

  async #buildAt(index: number, board: string, build: Builder): Promise<void> {
    let outcome: Outcome;
    try {
      outcome = await build(this.#options.commits[index]!, index);
    } catch (error) {
      if (error instanceof Ended) throw error;
      this.#complain(board, error);
      return;
    }
    const { return_code, stderr, stdout, sizes, config, outputs } = outcome;
    const result: BuildResult = {
      ...{ resp: "build_result", board, commit_upto: index, return_code, stderr, stdout },
      load_avg: Math.round(loadavg()[0]! * 100) / 100,
      ...(sizes && { sizes }),
      ...(config && { config }),
      ...(outputs && { outputs }),
    };
    await this.#options.send(result);
  }

  #complain(board: string, error: unknown): void {
    this.#exceptions++;
    const text =
      error instanceof Failure ? error.message : error instanceof Error ? error.stack : String(error);
    this.#options.log(
      `${board}: ${text}${isFull(this.#options.repository.workDir) ? `: ${diskFullText}` : ""}`,
    );
  }
}

/** Nothing can be built with less. */
const leastBytes = 1024 * 1024;

function isFull(directory: string): boolean {
  try {
    const { bavail, bsize, files, ffree } = statfsSync(directory);
    return bavail * bsize < leastBytes || (files > 0 && ffree === 0);
  } catch {
    return false; // it is gone
  }
}
