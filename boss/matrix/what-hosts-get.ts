/** What is pushed to hosts: commits to be built, the files of their submodules, and their history. */
import { UsageFailure } from "../../os/failure.ts";
import { visible } from "../../os/text/visible.ts";
import { tipsOf, type DeskRepository } from "./git.ts";
import {
  filledRefs,
  isPartialClone,
  outgoingRepository,
  withRoots,
  type OutgoingRepository,
} from "./outgoing.ts";
import { fillSubmodules } from "./submodules.ts";

/** Where a push begins. */
export interface Outgoing {
  /** Which repository it is from, as git is told. */
  readonly gitOptions: readonly string[];
  /** Commits to push, the first as the branch `work`. */
  readonly tips: readonly string[];
  /** What goes along with the commits. */
  readonly refspecs: readonly string[];
  /** A commit that has to be there before. */
  readonly joined?: string;
  /**
   * The same commits without what is before them.
   *
   * @throws {UsageFailure} if it is a commit to be built that is not whole.
   */
  withoutHistory(): Promise<Outgoing>;
}

/** What is built, of which source. */
interface Asked {
  readonly source: string;
  readonly repository: DeskRepository;
  readonly commits: readonly string[];
  readonly tips: readonly string[];
  /** Whether their files come along. */
  readonly submodules: boolean;
}

/** @throws {UsageFailure} if a submodule is not here. */
export async function whatHostsGet(asked: Asked): Promise<Outgoing & AsyncDisposable> {
  const { source, tips } = asked;
  await using stack = new AsyncDisposableStack();
  const repository = stack.use(await outgoingRepository(asked.repository));
  const commits = [...new Set([...asked.commits, ...tips])];
  const [filled, isPartial] = await Promise.all([
    asked.submodules ? fillSubmodules(source, repository, commits) : 0,
    isPartialClone(source),
  ]);
  const owned = stack.move();
  // One for all hosts: most of them find out that something is missing at the same time.
  let cut: Promise<Outgoing> | undefined;
  const withoutHistory = () =>
    (cut ??= cutHistory(repository, source, commits).then((own) => {
      owned.use(own);
      const { joined, tips } = own;
      return { ...outgoingFrom(own, filled), joined, tips, withoutHistory };
    }));
  return {
    ...outgoingFrom(repository, filled),
    // Only there does git know where what is missing can be had.
    ...(filled === 0 && isPartial ? { gitOptions: ["-C", source] } : {}),
    ...{ tips, withoutHistory },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function outgoingFrom({ directory }: OutgoingRepository, filled: number) {
  return {
    gitOptions: [`--git-dir=${directory}`],
    refspecs: filled > 0 ? [`${filledRefs}/*:refs/replace/*`] : [],
  };
}

/**
 * Of a history that lacks something, only the commits that are built are needed: each that has a parent which is not built
 * goes out as one that has none, as those at the end of a shallow clone do.
 */
async function cutHistory(from: OutgoingRepository, source: string, commits: readonly string[]) {
  await checkWhole(from, source, commits);
  const asked = new Set(commits);
  const { stdout } = await from.git(["log", "--no-walk", "--stdin", "--format=%H %P"], commits.join("\n"));
  const lines = stdout.split("\n").map((line) => line.split(" ").filter(Boolean));
  const roots = lines.flatMap(([hash, ...parents]) =>
    parents.some((parent) => !asked.has(parent)) ? [hash!] : [],
  );
  const own = await withRoots(from, commits, roots);
  return Object.assign(own, { tips: await tipsOf(own.directory, commits) });
}

/** Commits are asked one after the other only if one of them lacks something. */
async function checkWhole(repository: OutgoingRepository, source: string, commits: readonly string[]) {
  if ((await missingOf(repository, commits)).length === 0) return;
  for (const commit of commits) {
    const missing = await missingOf(repository, [commit]);
    if (missing.length === 0) continue;
    const { stdout } = await repository.git(["ls-tree", "-r", "-z", "--full-tree", commit], "", [128]);
    const [first] = missing;
    const path = stdout
      .split("\0")
      .find((entry) => entry.includes(` ${first}\t`))
      ?.replace(/^.*?\t/s, "");
    const what = path === undefined ? `object ${first}` : `file '${visible(path)}' (${first})`;
    const more = missing.length > 1 ? ` and ${missing.length - 1} more of its objects are` : " is";
    throw new UsageFailure(`build commit ${commit.slice(0, 12)}`, `its ${what}${more} not in '${source}'`, {
      hints: [
        "Get what is missing from where the source was cloned: git fetch --refetch",
        "Or choose commits that are whole, with --commits, --branch and --count.",
      ],
    });
  }
}

/** Objects of the files of commits that are not here. */
async function missingOf(repository: OutgoingRepository, commits: readonly string[]): Promise<string[]> {
  const args = ["rev-list", "--objects", "--no-object-names", "--missing=print", "--no-walk", "--stdin"];
  const { stdout } = await repository.git(args, commits.join("\n"));
  return stdout.split("\n").flatMap((line) => (line.startsWith("?") ? [line.slice(1)] : []));
}
