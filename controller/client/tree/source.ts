/** What a directory is: its name, and its commit if git has it. */
import { lstat, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { treeMost } from "../../../manifests/limits.ts";
import { packageNameFrom } from "../../../manifests/repository.ts";
import { Failure } from "../../../os/failure.ts";
import { ProgramFailure } from "../../../os/run.ts";
import { MiB } from "../../../os/text/size.ts";
import { allPaths, git, gitPaths, lookAt, type TreeFiles } from "./files.ts";
import type { Progress } from "./progress.ts";

export interface TreeSource extends TreeFiles {
  directory: string;
  /** Of the package; undefined if nothing tells one. */
  name: string | undefined;
  /** That its files are based on, if there is one. */
  commit?: { id: string; time: Date; isChanged: boolean };
  /** Whether it is all of its repository's working tree. */
  isTop: boolean;
}

/** Nothing says what of it is not to be sent: somebody's home is to be told from a package. */
const mostWithoutGit = { entries: 20_000, contentBytes: 256 * MiB };

/** Finds out what is to be sent of a directory. @throws {Failure} if it cannot be, or is too much. */
export async function findSource(given: string, progress: Pick<Progress, "tell">): Promise<TreeSource> {
  const directory = await realpath(given);
  const top = await topOf(directory);
  if (top === undefined) {
    const files = await lookAt(directory, allPaths(directory), mostWithoutGit, progress);
    return { ...files, directory, name: nameOf(basename(directory)), isTop: false };
  }
  const files = await lookAt(directory, gitPaths(directory), treeMost, progress);
  const isTop = top === directory;
  const remote = isTop ? await answerOf(directory, "remote", "get-url", "origin") : undefined;
  const name = nameOf((remote === undefined ? undefined : packageNameFrom(remote)) ?? basename(directory));
  const commit = await commitOf(directory);
  const remarks = isTop
    ? files.remarks
    : [...files.remarks, `only this part of the repository '${top}' is sent, and no .git`];
  return { ...files, remarks, directory, name, isTop, ...(commit ? { commit } : {}) };
}

/** The top of the working tree that it is in; undefined if there is none. */
async function topOf(directory: string): Promise<string | undefined> {
  try {
    return (await git(directory, "rev-parse", "--show-toplevel")).trimEnd();
  } catch (error) {
    if (!(error instanceof ProgramFailure)) throw error;
    if (/not a git repository/.test(error.output)) return undefined;
    // What git would not say must not be sent for that: there may be secrets among what it ignores.
    if (error.status === null && !(await isInRepository(directory))) return undefined;
    throw new Failure(`ask git what is in '${directory}'`, error.reason, {
      cause: error,
      hints: error.output.trim() === "" ? ["Is git installed?"] : [error.output.trim().split("\n")[0]!],
    });
  }
}

async function isInRepository(directory: string): Promise<boolean> {
  const found = await lstat(join(directory, ".git")).catch(() => undefined);
  if (found) return true;
  return dirname(directory) === directory ? false : await isInRepository(dirname(directory));
}

/** What git prints; undefined if it has no answer. */
async function answerOf(directory: string, ...args: string[]): Promise<string | undefined> {
  try {
    return (await git(directory, ...args)).trim();
  } catch (error) {
    if (error instanceof ProgramFailure) return undefined;
    throw error;
  }
}

async function commitOf(directory: string): Promise<TreeSource["commit"]> {
  const head = await answerOf(directory, "log", "-1", "--format=%H %ct", "HEAD");
  const [id = "", seconds] = head?.split(" ") ?? [];
  if (id === "") return undefined; // there is none yet
  const changes = await git(directory, "status", "--porcelain", "-z", "--", ".");
  return { id, time: new Date(Number(seconds) * 1000), isChanged: changes !== "" };
}

/** As a name of a package may be; undefined if nothing is left. */
function nameOf(text: string): string | undefined {
  return text.replaceAll(/[^A-Za-z0-9_.+-]+/g, "-").replace(/^[-.]+|-+$/g, "") || undefined;
}
