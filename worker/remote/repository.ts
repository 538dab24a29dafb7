import { appendFile, mkdir, readFile, realpath, rm } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { attempt, Failure, isSystemError, assertFailure } from "../../os/failure.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { commitTree, writeWorkTree, type RunGit } from "../work-tree.ts";
import { cleanEnvironment } from "./environment.ts";
import type { Processes } from "./processes.ts";
import { Worktree, type Git, type GitOptions } from "./worktree.ts";

/** The worker's folder in its work directory; git does not see it. (A source may have a `.croft/` of its own.) */
const ownFolder = ".croft-worker";

/** A large tree on a busy disk. */
const gitTimeoutSeconds = 900;

/** No hook of the repository has a part in this, and no automatic housekeeping goes on in the background. */
const gitOptions = ["-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "maintenance.auto=false"];

/** The git repository in a work directory: what is pushed there is built from it. */
export class Repository implements Git {
  readonly workDir: string;
  readonly #processes: Processes;

  constructor(workDir: string, processes: Processes) {
    this.workDir = workDir;
    this.#processes = processes;
  }

  /**
   * Makes directory and repository if they are not there, ready to be pushed to.
   *
   * @returns the path of git's own directory.
   */
  async create(): Promise<string> {
    await attempt(`make '${this.workDir}'`, mkdir(this.workDir, { recursive: true }));
    await this.git(["init", "--quiet"]);
    await this.git(["config", "receive.denyCurrentBranch", "updateInstead"]);
    return await this.gitDirectory();
  }

  /**
   * A commit's hash.
   *
   * @throws {Failure} if there is none of that name.
   */
  async resolve(commit: string): Promise<string> {
    const { status, stdout } = await this.tryGit(["rev-parse", "--verify", "--quiet", `${commit}^{commit}`]);
    if (status === 0 && !commit.startsWith("-")) return stdout.trim();
    throw new Failure(`build commit '${commit}'`, `there is none in '${this.workDir}'`);
  }

  /** The current source, with all its changes and without what git ignores, as a commit on no branch. */
  async currentSource(): Promise<string> {
    await this.#prepareInfo();
    const git: RunGit = (args, env) => this.git(args, withoutUndefined({ env }));
    const tree = await writeWorkTree(git, join(await this.gitDirectory(), "croft-index"));
    return await commitTree(git, tree, "current source", { date: "@0 +0000" });
  }

  /** The worktrees of the threads, made or, as an earlier session left them, taken over. */
  async worktrees(count: number, commits: readonly string[], onReady: (thread: number) => void) {
    await this.#prepareInfo();
    await mkdir(join(this.workDir, ownFolder), { recursive: true });
    const start = await this.#anyCommit(commits);
    const worktrees: Worktree[] = [];
    for (let thread = 0; thread < count; thread++) {
      const path = join(this.workDir, ownFolder, String(thread).padStart(2, "0"));
      if (!(await this.#isWorktree(path))) {
        await rm(path, { recursive: true, force: true });
        await this.git(["worktree", "prune"]);
        await this.git(["worktree", "add", "--force", "--no-checkout", "--detach", path, start]);
      }
      const gitDirectory = await this.git(["rev-parse", "--absolute-git-dir"], { cwd: path });
      await rm(join(gitDirectory, "index.lock"), { force: true }); // of a worker that was killed
      worktrees.push(new Worktree(thread, path, gitDirectory, this));
      onReady(thread);
    }
    return worktrees;
  }

  /**
   * Runs git.
   *
   * @returns its output, trimmed.
   * @throws {Failure} with the end of its errors.
   */
  async git(args: readonly string[], options: GitOptions = {}): Promise<string> {
    const { status, ending, stdout, stderr } = await this.tryGit(args, options);
    if (status === 0) return stdout.trim();
    const reason = stderr.trim().split("\n").slice(-3).join("; ") || ending;
    throw new Failure(`run 'git ${args.join(" ")}' in '${options.cwd ?? this.workDir}'`, reason);
  }

  /** Runs git, whatever its exit status. */
  async tryGit(args: readonly string[], options: GitOptions = {}) {
    return await this.#processes.run(["git", ...gitOptions, ...args], {
      cwd: options.cwd ?? this.workDir,
      env: {
        ...cleanEnvironment(),
        GIT_TERMINAL_PROMPT: "0",
        // Never a repository further up: not for the work directory, and not for a worktree that a build has broken.
        GIT_CEILING_DIRECTORIES: [dirname(this.workDir), join(this.workDir, ownFolder)].join(delimiter),
        ...options.env,
      },
      timeoutSeconds: gitTimeoutSeconds,
    });
  }

  async gitDirectory(): Promise<string> {
    return await this.git(["rev-parse", "--absolute-git-dir"]);
  }

  /** git sees neither the worker's folder nor what filters a source names for its files. */
  async #prepareInfo(): Promise<void> {
    const info = join(await this.git(["rev-parse", "--path-format=absolute", "--git-common-dir"]), "info");
    await mkdir(info, { recursive: true });
    await addLine(join(info, "exclude"), `/${ownFolder}/`);
    await addLine(join(info, "attributes"), "* -filter");
  }

  /** `git worktree add` wants a commit, though nothing is checked out; one that is asked for may be missing. */
  async #anyCommit(commits: readonly string[]): Promise<string> {
    for (const commit of [...commits, "HEAD"]) {
      const hash = await this.resolve(commit).catch((error: unknown) => {
        assertFailure(error);
      });
      if (hash !== undefined) return hash;
    }
    throw new Failure(`build in '${this.workDir}'`, "there is no commit yet");
  }

  async #isWorktree(path: string): Promise<boolean> {
    const inside = (name: string) =>
      this.tryGit(["rev-parse", "--path-format=absolute", name], { cwd: path });
    try {
      const [top, common] = [await inside("--show-toplevel"), await inside("--git-common-dir")];
      const ours = await this.git(["rev-parse", "--path-format=absolute", "--git-common-dir"]);
      return top.stdout.trim() === (await realpath(path)) && common.stdout.trim() === ours;
    } catch (error) {
      if (error instanceof Failure || isSystemError(error)) return false;
      throw error;
    }
  }
}

async function addLine(file: string, line: string): Promise<void> {
  const text = await readFile(file, "utf8").catch(() => "");
  if (text.split("\n").includes(line)) return;
  await appendFile(file, `${text === "" || text.endsWith("\n") ? "" : "\n"}${line}\n`);
}
