/** Commits of a work tree as it is, for whoever builds what is not committed yet. */
import { copyFile, rm, stat, utimes } from "node:fs/promises";
import { Failure, isSystemError } from "../os/failure.ts";
import { visible } from "../os/text/visible.ts";

/** Runs git in the work tree. @returns its output, trimmed. */
export type RunGit = (
  args: readonly string[],
  environment?: Readonly<Record<string, string>>,
) => Promise<string>;

const author = { GIT_AUTHOR_NAME: "croft", GIT_AUTHOR_EMAIL: "croft@localhost" };
const committer = { GIT_COMMITTER_NAME: "croft", GIT_COMMITTER_EMAIL: "croft@localhost" };

/**
 * Writes the files as they are into git, with uncommitted changes and new files that are not ignored; no branch, no
 * index and no file of the tree is touched.
 *
 * @param index where the index for this is: it is made, and removed again.
 * @returns the tree's hash.
 */
export async function writeWorkTree(git: RunGit, index: string): Promise<string> {
  const environment = { GIT_INDEX_FILE: index };
  try {
    await copyIndex(await git(["rev-parse", "--path-format=absolute", "--git-path", "index"]), index);
    await addAll(git, environment);
    return await git(["write-tree"], environment);
  } finally {
    await rm(index, { force: true });
  }
}

/**
 * Adds all files, and of each submodule the commit that is checked out. `git add` would look into every submodule for
 * changes, and there run the filters and monitors that the submodule's own settings name; so it is kept out of them.
 */
async function addAll(git: RunGit, environment: Readonly<Record<string, string>>): Promise<void> {
  const listed = await git(["ls-files", "-z", "--stage", "--", ":/"], environment);
  const entries = listed.split("\0").filter((entry) => entry.startsWith("160000 "));
  const paths = [...new Set(entries.map((entry) => entry.slice(entry.indexOf("\t") + 1)))];
  const odd = paths.find((path) => path.includes("\uFFFD"));
  if (odd !== undefined)
    throw new Failure("read the work tree", `the path of its submodule '${visible(odd)}' is not UTF-8`);
  if (paths.length === 0) return void (await git(["add", "--all"], environment));
  const others = paths.map((path) => `:(exclude,literal)${path}`);
  await git(["add", "--all", "--", ":/", ...others], environment);
  await git(["update-index", "--add", "--remove", "--replace", "--", ...paths], environment);
}

/**
 * What the index knows of unchanged files saves reading them all. The copy is as old as the index, or git would believe
 * it of files that were changed right after that was written.
 */
async function copyIndex(from: string, to: string): Promise<void> {
  try {
    const { atime, mtimeMs } = await stat(from);
    await copyFile(from, to);
    await utimes(to, atime, Math.floor(mtimeMs / 1000));
  } catch (error) {
    if (!isSystemError(error, "ENOENT")) throw error; // nothing was ever added
  }
}

/**
 * Makes a commit on no branch, by croft.
 *
 * @param date for a commit that is the same whenever it is made.
 * @returns its hash.
 */
export async function commitTree(
  git: RunGit,
  tree: string,
  message: string,
  { parent, date }: { parent?: string; date?: string } = {},
): Promise<string> {
  const dates = date === undefined ? {} : { GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date };
  const parents = parent === undefined ? [] : ["-p", parent];
  const args = ["commit-tree", "--no-gpg-sign", ...parents, "-m", message, tree];
  return await git(args, { ...author, ...committer, ...dates });
}
