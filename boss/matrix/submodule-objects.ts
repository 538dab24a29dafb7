/**
 * Where the objects of submodules are at the desk: in repositories that the user has had cloned. What a tree says of a
 * submodule's name and address has no part in this: a commit is known by its hash, wherever it lies.
 */
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** Repositories that are looked at: more than a project has submodules. */
const mostDirectories = 10_000;

/** The directories of objects of all submodules that are cloned below one of git's own directories. */
export function clonedObjects(gitDirectories: readonly string[]): string[] {
  const found: string[] = [];
  const toVisit = gitDirectories.map((each) => join(each, "modules"));
  for (let at = 0; at < toVisit.length && at < mostDirectories; at++) {
    const directory = toVisit[at]!;
    const isRepository = isFile(join(directory, "HEAD")) && isDirectory(join(directory, "objects"));
    if (isRepository) {
      found.push(join(directory, "objects"));
      toVisit.push(join(directory, "modules"));
    } else toVisit.push(...directoriesIn(directory)); // names of submodules may have slashes
  }
  return found;
}

/** The directory of objects of the repository that is checked out in a directory of the source; no link leads there. */
export function checkedOutObjects(source: string, path: string): string | undefined {
  let directory = source;
  for (const name of path.split("/")) {
    directory = join(directory, name);
    if (!isDirectory(directory)) return undefined;
  }
  const own = join(directory, ".git");
  const repository = isFile(own) ? namedIn(own, directory) : own;
  const objects = join(repository, "objects");
  return isDirectory(repository) && isDirectory(objects) ? objects : undefined;
}

/** `gitdir: PATH` */
function namedIn(file: string, directory: string): string {
  const text = lstatSync(file).size > 10_000 ? "" : readFileSync(file, "utf8");
  return resolve(directory, /^gitdir: (.+?)\n*$/.exec(text)?.[1] ?? ".git");
}

function isDirectory(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function isFile(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

function directoriesIn(path: string): string[] {
  if (!isDirectory(path)) return [];
  const entries = readdirSync(path, { withFileTypes: true });
  return entries.filter((each) => each.isDirectory()).map((each) => join(path, each.name));
}
