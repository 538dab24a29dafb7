/** What is told at the end of a test run: its slowest tests, how many ran, and which were skipped for what reason. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";

/** How a test ended. */
export interface TestRecord {
  name: string;
  /** From the package's root. */
  file: string;
  seconds: number;
  outcome: "passed" | "failed" | "skipped" | "todo";
  /** Why it was skipped. */
  why?: string;
}

/** Tests named as the slowest. */
const slowestCount = 10;

/** The tests recorded in a file; none if there is no such file. */
export async function readRecords(path: string): Promise<TestRecord[]> {
  if (!existsSync(path)) return [];
  const lines = (await readFile(path, "utf8")).split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as TestRecord);
}

/** The end of a run's output. */
export function summary(records: readonly TestRecord[]): string {
  const ran = records.filter(({ outcome }) => outcome === "passed" || outcome === "failed");
  const slowest = ran.toSorted((a, b) => b.seconds - a.seconds).slice(0, slowestCount);
  const skipped = records.filter(({ outcome }) => outcome === "skipped");
  const count = (outcome: TestRecord["outcome"]) => records.filter((one) => one.outcome === outcome).length;
  return [
    ...(slowest.length > 0 ? ["", "The slowest tests:"] : []),
    ...slowest.map(({ seconds, name, file }) => `${seconds.toFixed(1).padStart(8)} s  ${name} (${file})`),
    ...(skipped.length > 0 ? ["", "Skipped:"] : []),
    ...skipped.map(({ name, file, why }) => `  ${name} (${file})${why === undefined ? "" : `: ${why}`}`),
    "",
    `${ran.length} tests ran: ${count("passed")} passed, ${count("failed")} failed; ${skipped.length} skipped.`,
    "",
  ].join("\n");
}
