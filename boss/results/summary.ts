/** What a matrix of results says: per commit, what it broke and fixed, its warnings, and how sizes and more changed. */
import type { Detail } from "../../worker/protocol.ts";
import type { Matrix } from "../matrix/matrix.ts";
import { cellOf, type Cell, type CellStatus } from "./cell.ts";
import type { CellMemory } from "./cell-memory.ts";
import { DetailHistory } from "./changes/details.ts";
import { likelyFlakes, type Recovery } from "./flakes.ts";
import { parseSizes, sizeChanges, sizeDifference, type ImageSize } from "./sizes.ts";
import type { ResultStore } from "./store.ts";
import type { WarningFilter } from "./warning-filter.ts";

/** What changed at a commit against the last result of the same target before it. */
export interface CommitSummary {
  counts: Record<CellStatus, number>;
  broken: { target: string; message: string }[];
  fixed: string[];
  newWarnings: { target: string; message: string }[];
  sizes: { target: string; changes: string[] }[];
  /** Of those targets, by architecture: how many, and what all their images together have grown by. */
  sizesOf: Record<string, ImageSize & { targets: number }>;
  /** What was asked for of these. */
  details: Partial<Record<Detail, { target: string; changes: string[] }[]>>;
}

export interface Summary {
  commits: CommitSummary[];
  totals: Record<CellStatus, number>;
  /** Not told as broken and fixed. */
  flakes: Recovery[];
}

export interface SummaryOptions {
  /** Of a run's results. */
  memory?: CellMemory | undefined;
  /** Compared from one result to the next. */
  details?: readonly Detail[];
  filter?: WarningFilter | undefined;
}

/** Reads one result from the store. */
export function readCell(
  store: ResultStore,
  matrix: Matrix,
  target: number,
  commit: number,
  filter: WarningFilter = (stderr) => stderr,
): Cell {
  const returnCode = store.returnCodeOf(matrix.targetAt(target), commit);
  if (returnCode === undefined) return { status: "missing", warnings: [] };
  const stderr = filter(store.readFile(matrix.targetAt(target), commit, "err") ?? "");
  const host = store.readFile(matrix.targetAt(target), commit, "host")?.trim() ?? "";
  return cellOf({ returnCode, stderr, host });
}

/** Goes through all results, target by target. */
export function summarize(store: ResultStore, matrix: Matrix, options: SummaryOptions = {}): Summary {
  const commits = matrix.commits.map(emptySummary);
  const totals = noCounts();
  const recoveries: Recovery[] = [];
  for (const position of matrix.targets.keys())
    recoveries.push(...goThrough(store, matrix, position, { commits, totals }, options));
  const flakes = likelyFlakes(recoveries);
  for (const { target, from, to } of flakes) {
    remove(commits[from]!.broken, (each) => each.target === target);
    remove(commits[to]!.fixed, (each) => each === target);
  }
  return { commits, totals, flakes };
}

/** One target at all commits. */
function goThrough(
  store: ResultStore,
  matrix: Matrix,
  position: number,
  { commits, totals }: Pick<Summary, "commits" | "totals">,
  { memory, details = [], filter }: SummaryOptions,
): Recovery[] {
  const target = matrix.targetAt(position);
  const history = details.length > 0 ? new DetailHistory(store, target, details) : undefined;
  const recoveries: Recovery[] = [];
  let last: Cell | undefined;
  let failing: Omit<Recovery, "to"> | undefined;
  let sizes: Map<string, ImageSize> | undefined;
  for (const [commit, summary] of commits.entries()) {
    const known = memory?.get(position, commit);
    const cell = known?.cell ?? readCell(store, matrix, position, commit, filter);
    summary.counts[cell.status]++;
    totals[cell.status]++;
    if (cell.status === "missing") continue;
    compare(summary, target.name, last, cell);
    if (cell.status === "failed")
      failing ??= { target: target.name, message: cell.message ?? "", from: commit };
    else if (failing) {
      recoveries.push({ ...failing, to: commit });
      failing = undefined;
    }
    last = cell;
    if (history && cell.status !== "failed") addDetails(summary, target.name, history.next(commit));
    const text = known ? known.sizes : store.readFile(target, commit, "sizes");
    if (text === undefined) continue;
    const now = parseSizes(text);
    if (sizes) addSizes(summary, target, sizes, now);
    sizes = now;
  }
  return recoveries;
}

function addDetails(summary: CommitSummary, target: string, changes: Partial<Record<Detail, string[]>>) {
  for (const [detail, lines] of Object.entries(changes) as [Detail, string[]][])
    (summary.details[detail] ??= []).push({ target, changes: lines });
}

function addSizes(
  summary: CommitSummary,
  { name, arch }: { name: string; arch: string },
  before: Map<string, ImageSize>,
  now: Map<string, ImageSize>,
): void {
  const changes = sizeChanges(before, now);
  if (changes.length === 0) return;
  summary.sizes.push({ target: name, changes });
  const { text, data, bss } = sizeDifference(before, now);
  const sum = (summary.sizesOf[arch] ??= { targets: 0, text: 0, data: 0, bss: 0 });
  sum.targets++;
  sum.text += text;
  sum.data += data;
  sum.bss += bss;
}

function remove<T>(list: T[], which: (each: T) => boolean): void {
  const at = list.findIndex(which);
  if (at >= 0) list.splice(at, 1);
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
  return {
    ...{ counts: noCounts(), broken: [], fixed: [], newWarnings: [] },
    ...{ sizes: [], sizesOf: {}, details: {} },
  };
}

function noCounts(): Record<CellStatus, number> {
  return { built: 0, warning: 0, failed: 0, missing: 0 };
}
