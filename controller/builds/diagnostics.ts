/** Finds warnings and errors in the lines of a log, as compilers and build systems write them. */

export type Severity = "warning" | "error";

const errorLine =
  /(?:^|[\s:\])])(?:fatal |internal compiler )?error(?:\[[A-Z]?\d+\]|\s?[A-Z]{1,3}\d+)?:|: undefined reference to |^make(?:\[\d+\])?: \*\*\*|^ERROR\b|^CMake Error\b|^E: /i;
const warningLine =
  /(?:^|[\s:\])])warning(?:\[[A-Z]?\d+\]|\s?[A-Z]{1,3}\d+)?:|^WARNING\b|^CMake Warning\b|^W: /i;

/** What a line reports, if anything. */
export function severityOf(line: string): Severity | undefined {
  const start = line.length > 2000 ? line.slice(0, 2000) : line;
  // Compilers colour the word itself.
  const text = start.includes("\x1b") ? start.replace(/\x1b\[[0-9;:]*[mK]/g, "") : start;
  if (errorLine.test(text)) return "error";
  if (warningLine.test(text)) return "warning";
  return undefined;
}

/** Counts lines, and those that report something. */
export function countDiagnostics(log: string): { lines: number; warnings: number; errors: number } {
  const counts = { lines: 0, warnings: 0, errors: 0 };
  for (let from = 0; from < log.length;) {
    const newline = log.indexOf("\n", from);
    const to = newline < 0 ? log.length : newline;
    counts.lines++;
    // The shortest report is longer, and a log of nothing but short lines has a great many.
    const severity = to - from < 3 ? undefined : severityOf(log.slice(from, Math.min(to, from + 2000)));
    if (severity === "error") counts.errors++;
    if (severity === "warning") counts.warnings++;
    from = to + 1;
  }
  return counts;
}
