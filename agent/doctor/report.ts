import type { Finding, Level } from "./check.ts";

/** How many findings there are of each level. */
export function countLevels(findings: readonly Finding[]): Record<Level, number> {
  const count = { ok: 0, warning: 0, problem: 0 };
  for (const { level } of findings) count[level]++;
  return count;
}

/** One line for each finding, and one for all of them. */
export function reportText(findings: readonly Finding[]): string {
  const count = countLevels(findings);
  const summary = `${count.problem} problem${count.problem === 1 ? "" : "s"}, ${count.warning} warning${count.warning === 1 ? "" : "s"}`;
  return [...findings.map(line), summary, ""].join("\n");
}

function line({ level, subject, text, fix }: Finding): string {
  const said = `${level.padEnd(8)} ${subject}: ${text}${fix === undefined ? "" : `. Fix: ${fix}`}`;
  return said.replaceAll(/\s*\n\s*/g, " "); // what programs say may have several lines
}
