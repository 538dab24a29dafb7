import { readdirSync, type Dirent } from "node:fs";
import { join } from "node:path";
import { Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import { checkTargetName, hostArchitecture, Matrix, type MatrixCommit } from "../matrix/matrix.ts";
import { readArchitectures } from "./architectures.ts";
import { commitOfDirectory, ResultStore } from "./store.ts";

/** Results that are there, as a store and its matrix. */
export interface FoundMatrix {
  store: ResultStore;
  matrix: Matrix;
}

/**
 * Finds commits and targets by the directories of an output directory.
 *
 * @param names only these targets.
 * @param describe tells the commits' order and subjects; without, both are those of the directories.
 * @param current of the current source, though there are results of commits.
 * @throws {Failure} if there are none, or the directory cannot be read.
 */
export async function findMatrix(
  output: string,
  names: readonly string[] = [],
  {
    describe = () => Promise.resolve(undefined),
    current = false,
  }: { describe?: (hashes: string[]) => Promise<MatrixCommit[] | undefined>; current?: boolean } = {},
): Promise<FoundMatrix> {
  const directories = listDirectories(output);
  const found = directories
    .flatMap((name) => {
      const commit = commitOfDirectory(name);
      return commit ? [{ name, ...commit }] : [];
    })
    .sort((a, b) => a.number - b.number);
  const isCurrent = (current || found.length === 0) && directories.includes("current");
  if (current && !isCurrent)
    throw new Failure(`report on '${output}'`, "there are no results of the current source");
  const commits: (MatrixCommit & { directory: string })[] = isCurrent
    ? [{ hash: null, subject: "current source", directory: "current" }]
    : ordered(
        found.map(({ hash, subject, name }) => ({ hash, subject, directory: name })),
        await describe(found.map(({ hash }) => hash)),
      );
  const architectures = readArchitectures(output);
  const all = new Set(commits.flatMap(({ directory }) => listDirectories(join(output, directory))));
  const targets = [...all]
    .filter((name) => checkTargetName(name) === undefined && (names.length === 0 || names.includes(name)))
    .sort()
    .map((name) => ({ name, arch: architectures.get(name) ?? hostArchitecture }));
  if (targets.length === 0) throw new Failure(`report on '${output}'`, "there are no results");
  return { store: new ResultStore(output, commits), matrix: new Matrix(targets, commits) };
}

function ordered<T extends MatrixCommit>(found: T[], known: readonly MatrixCommit[] | undefined): T[] {
  if (known === undefined) return found;
  const byHash = new Map(found.map((commit) => [commit.hash, commit]));
  return known.flatMap(({ hash, subject }) => {
    const commit = byHash.get(hash);
    return commit ? [{ ...commit, subject }] : [];
  });
}

function listDirectories(path: string): string[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(path, { withFileTypes: true });
  } catch (error) {
    const reason = isSystemError(error, "ENOENT") ? "there are no results" : reasonOf(error);
    throw new Failure(`report on '${path}'`, reason, { cause: error });
  }
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}
