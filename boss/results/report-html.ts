/** The matrix as a page that needs nothing else: no script, no file, no network. Names, messages and logs in it come from other machines. */
import { escapeHtml } from "../../os/text/html.ts";
import type { Matrix } from "../matrix/matrix.ts";
import type { ResultStore } from "./store.ts";
import type { Cell, CellStatus } from "./cell.ts";
import { readCell, type Summary } from "./summary.ts";

const style = `
:root { color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif; }
body { margin: 1.5rem; }
table { border-collapse: separate; border-spacing: 2px; }
th { font-weight: normal; text-align: left; }
thead th { vertical-align: bottom; font-family: monospace; }
td { min-width: 1.6rem; text-align: center; border-radius: 3px; }
td a { display: block; color: inherit; text-decoration: none; padding: 0 .3rem; }
.built { background: #2da44e; color: #fff; } .warning { background: #d4a72c; color: #000; }
.failed { background: #cf222e; color: #fff; } .missing { background: #8883; }
details { margin: .3rem 0; } pre { overflow-x: auto; white-space: pre-wrap; background: #8881; padding: .6rem; }
`;

const symbols: Record<CellStatus, string> = { built: "✓", warning: "!", failed: "✗", missing: "·" };
/** Of each failed build's output; the whole of it is in the results. */
const outputMaxCharacters = 4000;

/** @returns the page, piece by piece: the whole may be large. */
export function* reportPage(
  title: string,
  store: ResultStore,
  matrix: Matrix,
  summary: Summary,
): Generator<string, void> {
  yield `<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n`;
  yield `<meta name="viewport" content="width=device-width, initial-scale=1">\n`;
  yield `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">\n`;
  yield `<title>${escapeHtml(title)}</title>\n<style>${style}</style>\n</head>\n<body>\n<h1>${escapeHtml(title)}</h1>\n`;
  const { built, warning, failed, missing } = summary.totals;
  yield `<p>${built} built, ${warning} with warnings, ${failed} failed, ${missing} without result</p>\n`;
  const failures: { target: number; commit: number; cell: Cell }[] = [];
  yield "<table>\n<thead><tr><th></th>";
  for (const { hash, subject } of matrix.commits)
    yield `<th title="${escapeHtml(subject)}">${hash === null ? "current" : hash.slice(0, 8)}</th>`;
  yield "</tr></thead>\n<tbody>\n";
  for (const [target, { name }] of matrix.targets.entries()) {
    yield `<tr><th>${escapeHtml(name)}</th>`;
    for (const commit of matrix.commits.keys()) {
      const cell = readCell(store, matrix, target, commit);
      yield cellHtml(cell, idOf(target, commit));
      if (cell.message !== undefined) failures.push({ target, commit, cell });
    }
    yield "</tr>\n";
  }
  yield "</tbody>\n</table>\n";
  yield* changes(matrix, summary);
  if (failures.length > 0) yield "<h2>Messages</h2>\n";
  for (const { target, commit, cell } of failures) yield messageHtml(store, matrix, target, commit, cell);
  yield "</body>\n</html>\n";
}

function cellHtml(cell: Cell, id: string): string {
  const symbol = symbols[cell.status];
  const title = escapeHtml([cell.status, cell.host, cell.message].filter(Boolean).join(": "));
  const content = cell.message === undefined ? symbol : `<a href="#${id}">${symbol}</a>`;
  return `<td class="${cell.status}" title="${title}">${content}</td>`;
}

function* changes(matrix: Matrix, summary: Summary): Generator<string, void> {
  yield "<h2>Changes</h2>\n<ol>\n";
  for (const [position, commit] of summary.commits.entries()) {
    const { hash, subject } = matrix.commitAt(position);
    const items = [
      ...commit.broken.map(({ target, message }) => `broken: ${target}: ${message}`),
      ...commit.fixed.map((target) => `fixed: ${target}`),
      ...commit.newWarnings.map(({ target, message }) => `warning: ${target}: ${message}`),
      ...commit.sizes.map(({ target, changes: sizes }) => `size: ${target}: ${sizes.join("; ")}`),
    ];
    yield `<li>${hash === null ? "" : `<code>${hash.slice(0, 12)}</code> `}${escapeHtml(subject)}`;
    if (items.length > 0) yield `<ul>${items.map((item) => `<li>${escapeHtml(item)}</li>`).join("")}</ul>`;
    yield "</li>\n";
  }
  yield "</ol>\n";
}

function messageHtml(store: ResultStore, matrix: Matrix, target: number, commit: number, cell: Cell): string {
  const { name } = matrix.targetAt(target);
  const { hash } = matrix.commitAt(commit);
  const text = store.readFile(matrix.targetAt(target), commit, "err") ?? "";
  const shown = text.length > outputMaxCharacters ? `${text.slice(0, outputMaxCharacters)}\n…` : text;
  const where = `${name} at ${hash === null ? "the current source" : hash.slice(0, 12)}`;
  const host = cell.host === undefined ? "" : ` on ${cell.host}`;
  return (
    `<details id="${idOf(target, commit)}" open><summary>${escapeHtml(where + host)}: ${escapeHtml(cell.message ?? "")}` +
    `</summary><pre>${escapeHtml(shown)}</pre></details>\n`
  );
}

function idOf(target: number, commit: number): string {
  return `m${target}-${commit}`;
}
