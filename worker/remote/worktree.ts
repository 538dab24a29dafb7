import { rm } from "node:fs/promises";
import { join } from "node:path";
import { outputDirectory } from "./recipes.ts";
import type { Repository } from "./repository.ts";

/** A thread's own copy of the source, with its build directory in it. */
export class Worktree {
  readonly thread: number;
  readonly path: string;
  readonly #gitDirectory: string;
  readonly #repository: Repository;

  constructor(thread: number, path: string, gitDirectory: string, repository: Repository) {
    this.thread = thread;
    this.path = path;
    this.#gitDirectory = gitDirectory;
    this.#repository = repository;
  }

  /** Where builds out of the source tree go. */
  get output(): string {
    return join(this.path, outputDirectory);
  }

  /** Brings the source to a commit; files that do not differ keep their times, so that builds are incremental. */
  async checkOut(hash: string): Promise<void> {
    const args = ["checkout", "--quiet", "--force", "--detach", hash];
    const { status } = await this.#repository.tryGit(args, { cwd: this.path });
    if (status === 0) return;
    // What a worker left that was killed with its host may be no index at all; git makes a new one of the commit.
    await rm(join(this.#gitDirectory, "index"), { force: true });
    await this.#repository.git(args, { cwd: this.path });
  }

  /** Removes all that builds have made, in the output directory as in the source. */
  async clean(): Promise<void> {
    await this.#repository.git(["clean", "--quiet", "-ffdx"], { cwd: this.path });
  }

  /** Whether one of these files (git pathspecs) differs between two commits. */
  async differs(from: string, to: string, pathspecs: readonly string[]): Promise<boolean> {
    const args = ["diff-tree", "-r", "--quiet", from, to, "--", ...pathspecs];
    const { status } = await this.#repository.tryGit(args, { cwd: this.path });
    return status !== 0; // what cannot be told is taken for a difference
  }
}
