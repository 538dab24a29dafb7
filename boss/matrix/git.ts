/** What the boss asks of git in the source tree. */
import { join } from "node:path";
import { Failure } from "../../os/failure.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { gitEnvironment, withoutPrograms } from "../../os/git.ts";
import { ProgramFailure, run } from "../../os/run.ts";
import { commitTree, writeWorkTree, type RunGit } from "../../worker/work-tree.ts";

const timeoutSeconds = 300;

/** Runs git in the source tree; its standard output. */
export async function git(
  source: string,
  args: readonly string[],
  options: { env?: Readonly<Record<string, string>>; input?: string } = {},
): Promise<string> {
  const { stdout } = await run(["git", "-C", source, ...withoutPrograms, ...args], {
    timeoutSeconds,
    env: { ...gitEnvironment(), ...options.env },
    keepBytes: 64 * 1024 * 1024,
    input: options.input ?? "",
  });
  return stdout;
}

/** What git prints, trimmed; undefined if it fails. */
export async function tryGit(source: string, args: readonly string[]): Promise<string | undefined> {
  try {
    return (await git(source, args)).trim();
  } catch (error) {
    if (error instanceof ProgramFailure) return undefined;
    throw error;
  }
}

/** What a host's repository has to fit to. */
export interface SourceRepository {
  /** `sha1`, or `sha256`. */
  objectFormat: string;
  /** Without the history before some commits. */
  isShallow: boolean;
}

/** The same, and where its objects and the list of commits without parents are. */
export interface DeskRepository extends SourceRepository {
  objects: string;
  shallow: string;
}

/** What kind of repository it is. @throws {ProgramFailure} if it is none. */
export async function repositoryOf(source: string): Promise<DeskRepository> {
  const asked = ["--is-shallow-repository", "--show-object-format", "--path-format=absolute"];
  const paths = ["--git-path", "objects", "--git-path", "shallow"];
  const text = await git(source, ["rev-parse", ...asked, ...paths]);
  const [isShallow, format, objects = "", shallow = ""] = text.split("\n");
  const objectFormat = format === "sha256" ? format : "sha1";
  return { objectFormat, isShallow: isShallow === "true", objects, shallow };
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

/** A file in a commit. */
export interface TreeFile {
  /** As git writes it: `100644`, `100755`, `120000` of a symbolic link. */
  mode: string;
  hash: string;
  path: string;
}

/** The files of a commit, below a folder if one is given; no submodules. */
export async function filesOf(source: string, commit: string, folder = ""): Promise<TreeFile[]> {
  const args = ["ls-tree", "-r", "-z", "--full-tree", commit, "--", ...(folder === "" ? [] : [`${folder}/`])];
  return (await git(source, args)).split("\0").flatMap((entry) => {
    const [, mode = "", hash = "", path] = /^(\d+) blob ([0-9a-f]+)\t(.+)$/s.exec(entry) ?? [];
    return path === undefined ? [] : [{ mode, hash, path }];
  });
}

/** The hash of a commit's tree: the same for all commits of the same files. */
export async function treeOf(source: string, commit: string): Promise<string> {
  return (await git(source, ["rev-parse", "--verify", `${commit}^{tree}`])).trim();
}

const lfsPointer = "^version https://git-lfs.github.com/spec/v1$";

/** Paths of the files that a commit only has as pointers to what is in Git LFS, sorted. */
export async function lfsPointersOf(source: string, commit: string): Promise<string[]> {
  const grep = ["grep", "-z", "--files-with-matches", "--no-recurse-submodules", "-e"];
  const attributes = [commit, "--", ":(top,glob)**/.gitattributes"];
  if (!(await tryGit(source, [...grep, "filter=lfs", ...attributes]))) return []; // all files are read else
  const found = await tryGit(source, [...grep, lfsPointer, commit, "--", ":(top)"]);
  const names = (found ?? "").split("\0").filter(Boolean);
  return names.map((name) => name.slice(commit.length + 1)).sort();
}

/** Settings for git's environment with which no program that a tree's attributes name filters files. */
async function withoutFilters(source: string): Promise<Record<string, string>> {
  const listed = await tryGit(source, ["config", "-z", "--name-only", "--get-regexp", String.raw`^filter\.`]);
  const names = (listed ?? "").split("\0").filter(Boolean);
  const drivers = new Set(names.map((name) => name.slice(0, name.lastIndexOf("."))));
  const settings = [...drivers].flatMap((driver) => [
    ...["clean", "smudge", "process"].map((each) => [`${driver}.${each}`, ""]),
    [`${driver}.required`, "false"],
  ]);
  const first = Number(process.env["GIT_CONFIG_COUNT"]) || 0;
  const numbered = settings.flatMap(([key, value], at) => [
    [`GIT_CONFIG_KEY_${first + at}`, key],
    [`GIT_CONFIG_VALUE_${first + at}`, value],
  ]);
  return { GIT_CONFIG_COUNT: String(first + settings.length), ...Object.fromEntries(numbered) };
}

/**
 * Makes a commit of the work tree as it is, with uncommitted changes and new files that are not ignored; no branch, no
 * index and no file of the tree is touched.
 */
export async function commitWorkTree(source: string): Promise<string> {
  await using directory = await temporaryDirectory("croft-index-");
  const unfiltered = await withoutFilters(source);
  const run: RunGit = async (args, env = {}) =>
    (await git(source, args, { env: { ...unfiltered, ...env } })).trim();
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
