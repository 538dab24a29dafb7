/** What is to be built: targets x commits, and which of these cells have no result yet. */
import type { Commits } from "../../worker/protocol.ts";

/** One thing to build, e.g. a board of U-Boot. */
export interface Target {
  readonly name: string;
  /** Chooses toolchain and hosts; `sandbox` is built anywhere. */
  readonly arch: string;
}

/** One column of the matrix. */
export interface MatrixCommit {
  /** 40 hexadecimal digits, or 64 of SHA-256; null for the current source. */
  readonly hash: string | null;
  /** First line of its message. */
  readonly subject: string;
  /** Among all commits from which some were chosen, counted from 1; by default, its place in the matrix. */
  readonly number?: number;
}

/** The architecture that every host can build for. */
export const hostArchitecture = "sandbox";

/** Which results are missing; a cell is a target's position and a commit's. */
export class Matrix {
  readonly targets: readonly Target[];
  readonly commits: readonly MatrixCommit[];
  /** As workers are told them. */
  readonly hashes: Commits;
  readonly #missing: Uint8Array;
  readonly #missingOfTarget: Uint32Array;
  readonly #positions: Map<string, number>;
  #missingCount: number;

  /** @param isBuilt whether there is a result already, by position of target and commit. */
  constructor(
    targets: readonly Target[],
    commits: readonly MatrixCommit[],
    isBuilt: (target: number, commit: number) => boolean = () => false,
  ) {
    this.targets = targets;
    this.commits = commits;
    const hashes = commits.flatMap(({ hash }) => (hash === null ? [] : [hash]));
    this.hashes = hashes.length === 0 ? [null] : hashes;
    this.#positions = new Map(targets.map(({ name }, position) => [name, position]));
    this.#missing = new Uint8Array(targets.length * commits.length);
    this.#missingOfTarget = new Uint32Array(targets.length);
    this.#missingCount = 0;
    for (let target = 0; target < targets.length; target++)
      for (let commit = 0; commit < commits.length; commit++) {
        if (isBuilt(target, commit)) continue;
        this.#missing[target * commits.length + commit] = 1;
        this.#missingOfTarget[target]!++;
        this.#missingCount++;
      }
  }

  /** @throws {RangeError} if no target has this position. */
  targetAt(position: number): Target {
    return elementAt(this.targets, position);
  }

  /** @throws {RangeError} if no commit has this position. */
  commitAt(position: number): MatrixCommit {
    return elementAt(this.commits, position);
  }

  /** Position of a target, by its name. */
  positionOf(name: string): number | undefined {
    return this.#positions.get(name);
  }

  /** How many results are missing in all. */
  get missingCount(): number {
    return this.#missingCount;
  }

  missingOf(target: number): number {
    return this.#missingOfTarget[target] ?? 0;
  }

  isMissing(target: number, commit: number): boolean {
    return (
      commit >= 0 &&
      commit < this.commits.length &&
      this.#missing[target * this.commits.length + commit] === 1
    );
  }

  /** Positions of the commits that a target has no result for. */
  missingCommits(target: number): number[] {
    return this.commits
      .keys()
      .filter((commit) => this.isMissing(target, commit))
      .toArray();
  }

  /** Notes a result; false if there is one already (or there is no such cell). */
  fill(target: number, commit: number): boolean {
    if (!this.isMissing(target, commit)) return false;
    this.#missing[target * this.commits.length + commit] = 0;
    this.#missingOfTarget[target]!--;
    this.#missingCount--;
    return true;
  }
}

/** What is wrong with a target's name, or undefined: it is a directory's name in the results. */
export function checkTargetName(name: string): string | undefined {
  return /^[A-Za-z0-9_][A-Za-z0-9_.+:@-]{0,199}$/.test(name)
    ? undefined
    : "expected letters, digits, '.', '_', '+', ':', '@' and '-'";
}

function elementAt<T>(list: readonly T[], position: number): T {
  const element = list[position];
  if (element === undefined) throw new RangeError(`nothing has the position ${position} of ${list.length}`);
  return element;
}
