/** Which files of a directory are sent: what git does not ignore; without git all of it. */
import type { Stats } from "node:fs";
import { lstat, readdir, readlink, realpath } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { Failure, isSystemError, reasonOf } from "../../../os/failure.ts";
import { gitEnvironment, withoutPrograms } from "../../../os/git.ts";
import { run } from "../../../os/run.ts";
import { formatBytes } from "../../../os/text/size.ts";
import { printable } from "../../../os/text/terminal-text.ts";
import type { Progress } from "./progress.ts";

/** How much may be sent. */
export interface Most {
  entries: number;
  contentBytes: number;
}

/** What is sent. */
export interface TreeFiles {
  /** Paths from the directory on, in the order in which they are packed. */
  paths: readonly string[];
  bytes: number;
  /** What whoever sends it should know of. */
  remarks: readonly string[];
}

const gitSeconds = 300;

/** Runs git in a directory; what it prints. */
export async function git(directory: string, ...args: string[]): Promise<string> {
  const { stdoutBytes } = await run(["git", "-C", directory, ...withoutPrograms, ...args], {
    timeoutSeconds: gitSeconds,
    // To look is no reason to write the index.
    env: { ...gitEnvironment(), GIT_OPTIONAL_LOCKS: "0" },
    keepBytes: 256 * 1024 * 1024,
  });
  return Buffer.from(stdoutBytes).toString("utf8");
}

/** Paths that git knows, or would take: also those in submodules, and in repositories that lie in this one. */
export async function* gitPaths(directory: string, below = ""): AsyncGenerator<string> {
  const listed = await git(
    join(directory, below),
    "ls-files",
    "-z",
    "--cached",
    "--others",
    "--exclude-standard",
  );
  for (const name of new Set(listed.split("\0"))) {
    if (name === "") continue;
    const path = join(below, name).replace(/\/$/, "");
    // A submodule, or a repository in this one, is one name to git; a link to one is a link.
    const isDirectory = (await statusOf(join(directory, path)))?.isDirectory() === true;
    if (isDirectory && (await statusOf(join(directory, path, ".git")))) yield* gitPaths(directory, path);
    else yield path;
  }
}

/** All there is. */
export async function* allPaths(directory: string, below = ""): AsyncGenerator<string> {
  const entries = await readdir(join(directory, below), { withFileTypes: true });
  for (const entry of entries) {
    if (entry.name === ".git") continue;
    const path = join(below, entry.name);
    if (entry.isDirectory()) yield* allPaths(directory, path);
    else yield path;
  }
}

/** Of the file itself, also if it is a link; undefined if there is none. */
async function statusOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    // Git knows it still, and it has been removed.
    if (isSystemError(error, "ENOENT", "ENOTDIR")) return undefined;
    throw new Failure(`read '${path}'`, reasonOf(error), { cause: error });
  }
}

/**
 * Looks at files, of which some may be gone.
 *
 * @throws {Failure} as soon as there is more than may be sent.
 */
export async function lookAt(
  directory: string,
  paths: AsyncIterable<string>,
  most: Most,
  progress: Pick<Progress, "tell">,
): Promise<TreeFiles> {
  const directories = new Directories(directory);
  const kept: string[] = [];
  const sizes: [string, number][] = [];
  const told: Told = { outside: [], empty: [], special: [], unreadable: [] };
  let bytes = 0;
  for await (const path of paths) {
    if (path.includes("\ufffd")) {
      told.unreadable.push(path);
      continue;
    }
    const stat = await statusOf(join(directory, path));
    if (stat === undefined || (await directories.isBehindLink(path))) continue;
    if (stat.isDirectory()) {
      told.empty.push(path);
      continue;
    }
    if (!stat.isFile() && !stat.isSymbolicLink()) {
      told.special.push(path);
      continue;
    }
    if (stat.isSymbolicLink() && (await leadsOut(directory, path))) told.outside.push(path);
    kept.push(path);
    bytes += stat.size;
    sizes.push([path, stat.size]);
    progress.tell(`${kept.length} files, ${formatBytes(bytes)}`);
    if (kept.length > most.entries)
      throw tooMuch(directory, `there are more than ${most.entries.toLocaleString("en")} files in it`, []);
    if (bytes > most.contentBytes)
      throw tooMuch(directory, `there is more than ${formatBytes(most.contentBytes)} in it`, sizes);
  }
  if (kept.length === 0) throw new Failure(`submit '${directory}'`, "there is no file in it");
  return { paths: kept.sort(byBytes), bytes, remarks: remarksOn(told) };
}

/** Directories that were looked at, and whether links lead there, to what is another place's. */
class Directories {
  readonly #top: string;
  readonly #known = new Map<string, boolean>();

  constructor(top: string) {
    this.#top = top;
  }

  /** Git knows files of a directory still that has become a link. */
  async isBehindLink(path: string): Promise<boolean> {
    const directory = join(this.#top, dirname(path));
    const isBehind = this.#known.get(directory) ?? (await realpath(directory)) !== directory;
    this.#known.set(directory, isBehind);
    return isBehind;
  }
}

/** In the machine there is nothing, or another thing, where such a link leads. */
async function leadsOut(directory: string, path: string): Promise<boolean> {
  const link = await readlink(join(directory, path));
  const target = relative(directory, resolve(directory, dirname(path), link));
  return link.startsWith("/") || target === ".." || target.startsWith("../");
}

/** What is too large, and what makes it so. */
export function tooMuch(
  directory: string,
  reason: string,
  sizes: readonly (readonly [path: string, bytes: number])[],
): Failure {
  const largest = sizes.toSorted(([, one], [, other]) => other - one).slice(0, 3);
  const named = largest.map(([path, bytes]) => `${printable(path)} (${formatBytes(bytes)})`).join(", ");
  return new Failure(`submit '${directory}'`, reason, {
    hints: [
      "What git ignores is left out (.gitignore); so is what lies outside of the directory.",
      ...(named === "" ? [] : [`The largest: ${named}`]),
    ],
  });
}

/** Paths that whoever sends them is told of. */
interface Told {
  /** Links that lead out of the directory. */
  outside: string[];
  /** Submodules that are not checked out. */
  empty: string[];
  special: string[];
  unreadable: string[];
}

function remarksOn(told: Told): string[] {
  const named = (paths: readonly string[]) =>
    paths.slice(0, 3).map(printable).join(", ") + (paths.length > 3 ? `, and ${paths.length - 3} more` : "");
  const remark = (paths: readonly string[], what: string) =>
    paths.length > 0 ? [`${what}: ${named(paths)}`] : [];
  return [
    ...remark(
      told.outside,
      "symbolic links that lead out of the directory are sent as they are, and lead nowhere there",
    ),
    ...remark(told.empty, "left out, as these submodules are not checked out"),
    ...remark(told.special, "left out, as they are neither files nor links"),
    ...remark(told.unreadable, "left out, as their names are no UTF-8"),
  ];
}

/** As bytes, so that the order does not depend on the language. */
function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
