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

/** What a test file took of the processors. */
export interface FileTime {
  /** From the package's root. */
  file: string;
  /** With all descendants that it has waited for. */
  seconds: number;
}

/** Names the file that gets a line of JSON for each test file: a {@link FileTime}. */
export const timesVariable = "CROFT_TEST_TIMES";

/** Tests named as the slowest, and files named as the most expensive. */
const slowestCount = 10;

/** What is recorded in a file, a line each; nothing if there is no such file. */
export async function readRecords<Kind = TestRecord>(path: string): Promise<Kind[]> {
  if (!existsSync(path)) return [];
  const lines = (await readFile(path, "utf8")).split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Kind);
}

/** The end of a run's output. */
export function summary(records: readonly TestRecord[], times: readonly FileTime[] = []): string {
  const ran = records.filter(({ outcome }) => outcome === "passed" || outcome === "failed");
  const slowest = ran.toSorted((a, b) => b.seconds - a.seconds).slice(0, slowestCount);
  const skipped = records.filter(({ outcome }) => outcome === "skipped");
  const count = (outcome: TestRecord["outcome"]) => records.filter((one) => one.outcome === outcome).length;
  const all = times.reduce((sum, { seconds }) => sum + seconds, 0);
  const costly = times.toSorted((a, b) => b.seconds - a.seconds).slice(0, slowestCount);
  return [
    ...(slowest.length > 0 ? ["", "The slowest tests:"] : []),
    ...slowest.map(({ seconds, name, file }) => `${seconds.toFixed(1).padStart(8)} s  ${name} (${file})`),
    ...(costly.length > 0 ? ["", `Processor time, ${all.toFixed(0)} s in all, most of it in:`] : []),
    ...costly.map(({ seconds, file }) => `${seconds.toFixed(1).padStart(8)} s  ${file}`),
    ...(skipped.length > 0 ? ["", "Skipped:"] : []),
    ...skipped.map(({ name, file, why }) => `  ${name} (${file})${why === undefined ? "" : `: ${why}`}`),
    "",
    `${ran.length} tests ran: ${count("passed")} passed, ${count("failed")} failed; ${skipped.length} skipped.`,
    "",
  ].join("\n");
}
