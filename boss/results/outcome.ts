import type { RunOutcome } from "../dispatch/run.ts";
import type { Drift } from "../hosts/compilers.ts";
import type { Matrix } from "../matrix/matrix.ts";
import type { ResultStore } from "./store.ts";
import type { CellMemory } from "./cell-memory.ts";

/** What became of a build. */
export interface BuildOutcome extends RunOutcome {
  matrix: Matrix;
  store: ResultStore;
  /** Of the results of this run. */
  memory: CellMemory;
  /** Results that were there already. */
  already: number;
  /** Why targets were given up, by position. */
  givenUp: Map<number, string>;
  /** Targets that no host had a toolchain for. */
  withoutToolchain: number[];
  /** Why hosts did not take part. */
  absent: { host: string; reason: string; busy: boolean }[];
  /** Failures that were taken for the host's own, and built elsewhere. */
  doubted: { host: string; reason: string; times: number }[];
  lost: { host: string; reason: string }[];
  /** What hosts are short of that took part all the same. */
  strained: Map<string, string>;
  /** Compilers that are not the same on all hosts. */
  drift: Drift[];
  /** Compilers that hosts had when they last took part, and have no more. */
  changedCompilers: { host: string; architecture: string; before: string; now: string }[];
}
