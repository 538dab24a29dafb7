/**
 * `node test/runner/in-order.ts OPTIONS`, the options as JSON: node's test runner as `node --test` is, but for the order
 * in which files are started, which is the one given. (`node --test` sorts them by name.)
 */
import { createWriteStream } from "node:fs";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import record from "./record.ts";

/** What is run, and where it is written down. */
export interface InOrderOptions {
  files: readonly string[];
  concurrency: number;
  /** Longest time of one test, and of one file. */
  timeoutMs: number;
  /** Patterns of the names of tests; all if empty. */
  names: readonly string[];
  /** Gets a line of JSON for each test. */
  records: string;
}

const { files, concurrency, timeoutMs, names, records } = JSON.parse(process.argv[2]!) as InOrderOptions;
const tests = run({
  files,
  concurrency,
  timeout: timeoutMs,
  execArgv: ["--import", new URL("processor-time.ts", import.meta.url).href],
  ...(names.length > 0 && { testNamePatterns: names }),
});
tests.on("test:summary", ({ success }) => {
  if (!success) process.exitCode = 1;
});
tests.compose(record).pipe(createWriteStream(records));
tests.compose(new spec()).pipe(process.stdout);
