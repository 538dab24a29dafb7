import { rm } from "node:fs/promises";
import { join } from "node:path";
import { outputDirectory } from "./recipes.ts";
import type { Finished } from "./processes.ts";

export interface GitOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
}

/** Runs git for a repository. */
export interface Git {
  /**
   * @returns its output, trimmed.
   * @throws {Failure} with the end of its errors.
   */
  git(args: readonly string[], options?: GitOptions): Promise<string>;
  /** Whatever its exit status. */
  tryGit(args: readonly string[], options?: GitOptions): Promise<Finished>;
}

/** A thread's own copy of the source, with its build directory in it. */
export class Worktree {
  readonly thread: number;
  readonly path: string;
  readonly #gitDirectory: string;
  readonly #git: Git;

  constructor(thread: number, path: string, gitDirectory: string, git: Git) {
    this.thread = thread;
    this.path = path;
    this.#gitDirectory = gitDirectory;
    this.#git = git;
  }

  /** Where builds out of the source tree go. */
  get output(): string {
    return join(this.path, outputDirectory);
  }

  /** Brings the source to a commit; files that do not differ keep their times, so that builds are incremental. */
  async checkOut(hash: string): Promise<void> {
    const { status } = await this.#git.tryGit(checkOutArguments(hash), { cwd: this.path });
    if (status === 0) return;
    // What a worker left that was killed with its host may be no index at all; git makes a new one of the commit.
    await this.checkOutAnew(hash);
  }

  /** The same, but all files are written: their times are of now. */
  async checkOutAnew(hash: string): Promise<void> {
    await rm(join(this.#gitDirectory, "index"), { force: true });
    await this.#git.git(checkOutArguments(hash), { cwd: this.path });
  }

  /** Removes all that builds have made, in the output directory as in the source. */
  async clean(): Promise<void> {
    await this.#git.git(["clean", "--quiet", "-ffdx"], { cwd: this.path });
  }

  /** Whether one of these files (git pathspecs) differs between two commits. */
  async differs(from: string, to: string, pathspecs: readonly string[]): Promise<boolean> {
    const args = ["diff-tree", "-r", "--quiet", from, to, "--", ...pathspecs];
    const { status } = await this.#git.tryGit(args, { cwd: this.path });
    return status !== 0; // what cannot be told is taken for a difference
  }
}

function checkOutArguments(hash: string): string[] {
  return ["checkout", "--quiet", "--force", "--detach", hash];
}
