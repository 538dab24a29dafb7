/** Which commits are built, and in which order. */
import { UsageFailure } from "../../os/failure.ts";
import { ProgramFailure } from "../../os/run.ts";
import { git, repositoryOf, tryGit } from "./git.ts";
import type { MatrixCommit } from "./matrix.ts";

/** Which commits to build. */
export interface CommitSelection {
  /** A revision range (`main..topic`), or a single revision. */
  range?: string;
  /** This many commits up to the last one. */
  count?: number;
  /** A branch's name, or a range as well. */
  branch?: string;
  /** Only each so-many-th of these, from the first on; 0: the first and the last. */
  step?: number;
  /** Of a merge, only the merge itself. */
  firstParent?: boolean;
}

/** Commits to build, and what has to be said about the choice. */
export interface SelectedCommits {
  /** Oldest first. */
  commits: MatrixCommit[];
  notes: string[];
  /** All others are known to be behind the last one. */
  isOneLine: boolean;
}

/**
 * Finds the commits. Of a branch without a count, those that its upstream does not have.
 *
 * @throws {UsageFailure} if there are none.
 */
export async function selectCommits(source: string, selection: CommitSelection): Promise<SelectedCommits> {
  const { range, count, branch } = selection;
  const named = range ?? branch ?? "HEAD";
  if (named.startsWith("-")) throw new UsageFailure(`build '${named}'`, "it is no name of commits");
  const { revisions, limit, notes, tips } = await meaningOf(source, named, selection);
  const parents = selection.firstParent ? ["--first-parent"] : [];
  const limited = limit === undefined ? [] : [`-${limit}`];
  const log = (...order: string[]) =>
    git(source, [...logOfCommits, "--reverse", ...order, ...parents, ...limited, revisions, "--"]);
  const text = await log("--topo-order").catch(async (error: unknown) => {
    if (!(error instanceof ProgramFailure)) throw error;
    // That order is only known at the end of the history.
    const inOrderOfDates =
      missingCommit(error) === undefined ? undefined : await log().catch(() => undefined);
    if (inOrderOfDates !== undefined) return inOrderOfDates;
    throw new UsageFailure(`find commits '${revisions}' in '${source}'`, complaintOf(error), {
      cause: error,
      hints: hintsOn(error),
    });
  });
  const commits = readCommits(text);
  if (commits.length === 0)
    throw new UsageFailure(`find commits '${revisions}' in '${source}'`, "there are none");
  if (count !== undefined && commits.length < count && (await repositoryOf(source)).isShallow)
    notes.push(`Only ${commits.length} of ${count} commits are there, as '${source}' is a shallow clone.`);
  const { step = 1 } = selection;
  return { commits: steps(commits, step), notes, isOneLine: tips === 1 && step === 1 };
}

function steps(commits: MatrixCommit[], step: number): MatrixCommit[] {
  if (step === 1) return commits;
  const isChosen = (at: number) => (step === 0 ? at === 0 || at === commits.length - 1 : at % step === 0);
  // The others keep their numbers, so that U-Boot's buildman finds these by theirs.
  return commits.flatMap((commit, at) => (isChosen(at) ? [{ ...commit, number: at + 1 }] : []));
}

/** What a name stands for: a range as it is, a branch from its upstream on, a single commit. */
async function meaningOf(source: string, named: string, { count, branch }: CommitSelection) {
  const notes: string[] = [];
  // Of this it is known without asking git.
  const { isRange, tips } =
    named === "HEAD" ? { isRange: false, tips: 1 } : await readRevisions(source, named);
  if (isRange) return { revisions: named, limit: count, notes, tips };
  if (branch === undefined || count !== undefined)
    return { revisions: named, limit: count ?? 1, notes, tips };
  const upstream = await upstreamOf(source, branch);
  if (upstream !== undefined) return { revisions: `${upstream}..${branch}`, limit: undefined, notes, tips };
  notes.push(`Branch '${branch}' has no upstream: only its last commit is built (--count N builds more).`);
  return { revisions: branch, limit: 1, notes, tips };
}

/** Whether it names several commits, such as `A..B`, `A...B` and `A^!`, and how many that are not left out. */
async function readRevisions(source: string, named: string): Promise<{ isRange: boolean; tips: number }> {
  const revisions = (await tryGit(source, ["rev-parse", "--revs-only", named]))?.split("\n");
  if (revisions === undefined) return { isRange: named.includes(".."), tips: 0 };
  return { isRange: revisions.length > 1, tips: revisions.filter((each) => !each.startsWith("^")).length };
}

async function upstreamOf(source: string, branch: string): Promise<string | undefined> {
  const args = ["rev-parse", "--verify", "--quiet", "--abbrev-ref", "--symbolic-full-name"];
  return (await tryGit(source, [...args, `${branch}@{upstream}`])) || undefined;
}

/** What can be done about a history that ends where nobody has said so. */
function hintsOn(error: ProgramFailure): string[] {
  if (missingCommit(error) === undefined) return [];
  return [
    "Get what is missing from where the source was cloned: git fetch --refetch",
    "Or choose fewer commits: those before the last ones are not here.",
  ];
}

function missingCommit({ output }: ProgramFailure): string | undefined {
  return /^error: Could not read ([0-9a-f]+)/m.exec(output)?.[1];
}

function complaintOf(error: ProgramFailure): string {
  const missing = missingCommit(error);
  if (missing !== undefined) return `commit ${missing} of its history is not here`;
  const last = error.output.trim().split("\n").at(-1);
  return last?.replace(/^fatal: /, "") ?? error.message;
}

/**
 * What git knows of commits, in the order of the history (that of {@link selectCommits}), whatever their dates say;
 * undefined if it does not know them all.
 */
export async function describeCommits(
  source: string,
  hashes: readonly string[],
): Promise<MatrixCommit[] | undefined> {
  try {
    // What all of them have behind them is not gone through.
    const base = await tryGit(source, ["merge-base", "--octopus", ...hashes]);
    const parents = base ? await tryGit(source, ["rev-parse", `${base}^@`]) : undefined;
    const behind = parents ? parents.split("\n").map((hash) => `^${hash}`) : [];
    const input = [...hashes, ...behind].join("\n");
    const text = await git(source, [...logOfCommits, "--reverse", "--topo-order", "--stdin"], { input });
    const asked = new Set<string | null>(hashes);
    return readCommits(text).filter(({ hash }) => asked.has(hash));
  } catch (error) {
    if (error instanceof ProgramFailure) return undefined;
    throw error;
  }
}

/** What {@link readCommits} reads, whatever the user's settings are. */
const logOfCommits = ["log", "--no-show-signature", "--format=%H %s"];

function readCommits(log: string): MatrixCommit[] {
  const lines = log.split("\n").filter((line) => line !== "");
  return lines.map((line) => {
    const end = line.indexOf(" "); // hashes have 40 digits, or 64
    return { hash: line.slice(0, end), subject: line.slice(end + 1) };
  });
}
