/**
 * `npm test [-- PATH-PART… [--name PATTERN]]`: runs all tests but the long ones (`test/long.ts`), or those whose path
 * contains one of the words, the longest first; then looks for what they left on the host, which fails the run too.
 */
import { globSync } from "node:fs";
import { parseArgs } from "node:util";
import { reasonOf } from "../os/failure.ts";
import { packageRoot } from "../os/files/package.ts";
import { inOrder } from "./runner/order.ts";
import { runFiles } from "./runner/run-files.ts";

/** Longest time of one test, and of one file, in seconds: ten times what the longest takes on a quiet host. */
const timeoutSeconds = 1800;

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`Cannot run the tests: ${reasonOf(error)}\n`);
  process.exitCode = 1;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { name: { type: "string", multiple: true, short: "n" } },
  });
  const files = testFiles(["test/**/*.test.ts", "test/**/*.real.ts"], positionals);
  if (files.length === 0) {
    process.stderr.write(`There is no test file with ${positionals.join(" or ")} in its path\n`);
    return 2;
  }
  return runFiles(files, { names: values.name ?? [], timeoutSeconds });
}

function testFiles(patterns: readonly string[], words: readonly string[]): string[] {
  const all = patterns.flatMap((pattern) => globSync(pattern, { cwd: packageRoot }).sort());
  return inOrder(words.length === 0 ? all : all.filter((file) => words.some((word) => file.includes(word))));
}
