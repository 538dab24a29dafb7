/** What a matrix of results says: per commit, what it broke and fixed, its warnings, and how sizes changed. */
import type { Matrix } from "../matrix/matrix.ts";
import { cellOf, type Cell, type CellStatus } from "./cell.ts";
import type { CellMemory } from "./cell-memory.ts";
import { parseSizes, sizeChanges, type ImageSize } from "./sizes.ts";
import type { ResultStore } from "./store.ts";

/** What changed at a commit against the last result of the same target before it. */
export interface CommitSummary {
  counts: Record<CellStatus, number>;
  broken: { target: string; message: string }[];
  fixed: string[];
  newWarnings: { target: string; message: string }[];
  sizes: { target: string; changes: string[] }[];
}

export interface Summary {
  commits: CommitSummary[];
  totals: Record<CellStatus, number>;
}

/** Reads one result from the store. */
export function readCell(store: ResultStore, matrix: Matrix, target: number, commit: number): Cell {
  const returnCode = store.returnCodeOf(matrix.targetAt(target), commit);
  if (returnCode === undefined) return { status: "missing", warnings: [] };
  const stderr = store.readFile(matrix.targetAt(target), commit, "err") ?? "";
  const host = store.readFile(matrix.targetAt(target), commit, "host")?.trim() ?? "";
  return cellOf({ returnCode, stderr, host });
}

/** Goes through all results, target by target. */
export function summarize(store: ResultStore, matrix: Matrix, memory?: CellMemory): Summary {
  const commits = matrix.commits.map(emptySummary);
  const totals = noCounts();
  for (const [position, target] of matrix.targets.entries()) {
    let last: Cell | undefined;
    let sizes: Map<string, ImageSize> | undefined;
    for (const [commit, summary] of commits.entries()) {
      const known = memory?.get(position, commit);
      const cell = known?.cell ?? readCell(store, matrix, position, commit);
      summary.counts[cell.status]++;
      totals[cell.status]++;
      if (cell.status === "missing") continue;
      compare(summary, target.name, last, cell);
      last = cell;
      const text = known ? known.sizes : store.readFile(target, commit, "sizes");
      if (text === undefined) continue;
      const now = parseSizes(text);
      const changes = sizes ? sizeChanges(sizes, now) : [];
      if (changes.length > 0) summary.sizes.push({ target: target.name, changes });
      sizes = now;
    }
  }
  return { commits, totals };
}

function compare(summary: CommitSummary, target: string, last: Cell | undefined, cell: Cell): void {
  const message = cell.message ?? "";
  if (cell.status === "failed" && last?.status !== "failed") summary.broken.push({ target, message });
  if (cell.status !== "failed" && last?.status === "failed") summary.fixed.push(target);
  if (cell.status !== "warning") return;
  const known = new Set(last?.warnings.map(withoutPlace));
  const added = cell.warnings.find((line) => !known.has(withoutPlace(line)))?.trim();
  // What goes to standard error without the word is told once.
  const first = cell.warnings.length === 0 && last?.status !== "warning" ? message : undefined;
  if (added !== undefined || first !== undefined)
    summary.newWarnings.push({ target, message: added ?? first! });
}

/** Where in its file a warning stands changes with every line that comes before it. */
function withoutPlace(line: string): string {
  return line.trim().replace(/:\d+(?::\d+)?:/, ":");
}

function emptySummary(): CommitSummary {
  return { counts: noCounts(), broken: [], fixed: [], newWarnings: [], sizes: [] };
}

function noCounts(): Record<CellStatus, number> {
  return { built: 0, warning: 0, failed: 0, missing: 0 };
}
