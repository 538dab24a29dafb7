/** What the boss asks of git in the source tree. */
import { join } from "node:path";
import { Failure, UsageFailure } from "../../os/failure.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { ProgramFailure, run } from "../../os/run.ts";
import { commitTree, writeWorkTree, type RunGit } from "../../worker/work-tree.ts";
import type { MatrixCommit } from "./matrix.ts";

const timeoutSeconds = 300;

/** What hooks, aliases and rebases tell git about their own repository; ours is told with `-C`. */
const otherRepository =
  /^GIT_(?:DIR|WORK_TREE|INDEX_FILE|COMMON_DIR|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|PREFIX|NAMESPACE|SHALLOW_FILE|GRAFT_FILE)$/;

/** The environment in which git works in the source tree, and speaks English. */
export function gitEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !otherRepository.test(name));
  return { ...Object.fromEntries(kept), LC_ALL: "C" };
}

/** Runs git in the source tree; its standard output. */
async function git(
  source: string,
  args: readonly string[],
  options: { env?: Readonly<Record<string, string>>; input?: string } = {},
): Promise<string> {
  const { stdout } = await run(["git", "-C", source, ...args], {
    timeoutSeconds,
    env: { ...gitEnvironment(), ...options.env },
    keepBytes: 64 * 1024 * 1024,
    input: options.input ?? "",
  });
  return stdout;
}

/** Which commits to build. */
export interface CommitSelection {
  /** A revision range (`main..topic`), or a single revision. */
  range?: string;
  /** This many commits up to the branch's (or HEAD's) last one. */
  count?: number;
  branch?: string;
}

/**
 * Finds the commits, oldest first.
 *
 * @throws {UsageFailure} if there are none.
 */
export async function selectCommits(source: string, selection: CommitSelection): Promise<MatrixCommit[]> {
  const { range, count, branch } = selection;
  const what = range ?? branch ?? "HEAD";
  if (what.startsWith("-")) throw new UsageFailure(`build '${what}'`, "it is no name of commits");
  const limit = count ?? (range?.includes("..") ? undefined : 1);
  const args = [...logOfCommits, "--topo-order", ...(limit === undefined ? [] : [`-${limit}`])];
  let text: string;
  try {
    text = await git(source, [...args, what, "--"]);
  } catch (error) {
    if (!(error instanceof ProgramFailure)) throw error;
    const said =
      error.output
        .trim()
        .split("\n")
        .at(-1)
        ?.replace(/^fatal: /, "") ?? error.message;
    throw new UsageFailure(`find commits '${what}' in '${source}'`, said, { cause: error });
  }
  const commits = readCommits(text);
  if (commits.length === 0) throw new UsageFailure(`find commits '${what}' in '${source}'`, "there are none");
  return commits;
}

/** The last commit, by its full hash. */
export async function headCommit(source: string): Promise<string> {
  try {
    return (await git(source, ["rev-parse", "--verify", "HEAD^{commit}"])).trim();
  } catch (error) {
    if (!(error instanceof ProgramFailure)) throw error;
    throw new Failure(`build '${source}'`, "it has no commit, or is no git repository", { cause: error });
  }
}

/** The hash of a commit's tree: the same for all commits of the same files. */
export async function treeOf(source: string, commit: string): Promise<string> {
  return (await git(source, ["rev-parse", "--verify", `${commit}^{tree}`])).trim();
}

/**
 * Makes a commit of the work tree as it is, with uncommitted changes and new files that are not ignored; no branch, no
 * index and no file of the tree is touched.
 */
export async function commitWorkTree(source: string): Promise<string> {
  await using directory = await temporaryDirectory("croft-index-");
  const run: RunGit = async (args, env = {}) => (await git(source, args, { env })).trim();
  const head = await headCommit(source);
  const tree = await writeWorkTree(run, join(directory.path, "index"));
  if (tree === (await treeOf(source, head))) return head;
  return await commitTree(run, tree, "uncommitted changes", { parent: head });
}

/**
 * The commits that have to be named in a push so that all of them arrive: the last, and those that neither it nor another
 * reaches.
 *
 * @returns the last commit first.
 */
export async function tipsOf(source: string, hashes: readonly string[]): Promise<string[]> {
  const last = hashes.at(-1)!;
  const asked = new Set(hashes);
  const input = [`^${last}`, ...hashes].join("\n");
  const beside = (await git(source, ["rev-list", "--stdin"], { input }))
    .split("\n")
    .filter((hash) => asked.has(hash));
  if (beside.length === 0) return [last];
  return [
    last,
    ...(await git(source, ["merge-base", "--independent", ...beside])).split("\n").filter(Boolean),
  ];
}

/** What git knows of commits, the oldest first; undefined if it does not know them all. */
export async function describeCommits(
  source: string,
  hashes: readonly string[],
): Promise<MatrixCommit[] | undefined> {
  try {
    const args = [...logOfCommits, "--no-walk", "--date-order", "--stdin"];
    return readCommits(await git(source, args, { input: hashes.join("\n") }));
  } catch (error) {
    if (error instanceof ProgramFailure) return undefined;
    throw error;
  }
}

/** What {@link readCommits} reads, the oldest first, whatever the user's settings are. */
const logOfCommits = ["log", "--no-show-signature", "--reverse", "--format=%H %s"];

function readCommits(log: string): MatrixCommit[] {
  const lines = log.split("\n").filter((line) => line !== "");
  return lines.map((line) => ({ hash: line.slice(0, 40), subject: line.slice(41) }));
}
