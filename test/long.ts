/**
 * `npm run test:long [-- NAME… | --all] [--again]`: runs parts of the long tests, each a file `*.long.ts`, one after the
 * other; without a name it lists them. A part that has passed on this commit is not run again, so a series that was
 * cut off goes on where it was.
 */
import { globSync } from "node:fs";
import { parseArgs } from "node:util";
import { Failure, reasonOf } from "../os/failure.ts";
import { formatDuration } from "../os/text/duration.ts";
import { packageRoot } from "../os/files/package.ts";
import { currentCommit, LongParts, type LongPart } from "./runner/long-parts.ts";
import { runFiles } from "./runner/run-files.ts";

/** Longest time of a part, which takes up to 30 minutes on two quiet processors. */
const timeoutSeconds = 3 * 3600;

try {
  process.exitCode = await main();
} catch (error) {
  const lines =
    error instanceof Failure ? [error.message, ...error.hints] : [`Cannot run the tests: ${reasonOf(error)}`];
  process.stderr.write(`${lines.join("\n")}\n`);
  process.exitCode = error instanceof Failure ? error.exitStatus : 1;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { again: { type: "boolean" }, all: { type: "boolean" } },
  });
  const parts = new LongParts(packageRoot, globSync("test/**/*.long.ts", { cwd: packageRoot }));
  const commit = await currentCommit(packageRoot);
  if (positionals.length === 0 && !values.all) {
    process.stdout.write(parts.listing(commit));
    return 0;
  }
  const chosen = values.all ? parts.all : positionals.map((name) => parts.find(name));
  let status = 0;
  for (const part of chosen) {
    if (!values.again && parts.hasPassed(part, commit)) {
      process.stdout.write(`${part.name} has passed on this commit; --again runs it again\n`);
      continue;
    }
    if (values.again) parts.forget(part);
    const ended = await runPart(parts, part, commit);
    if (ended > 128) return ended; // interrupted
    status ||= ended;
  }
  return status;
}

async function runPart(parts: LongParts, part: LongPart, commit: string | undefined): Promise<number> {
  process.stdout.write(`${part.name}: ${part.subject}\n`);
  const began = Date.now();
  const status = await runFiles([part.file], { names: [], timeoutSeconds });
  const seconds = (Date.now() - began) / 1000;
  if (status > 128) return status;
  // What was changed under the run, or is not committed, is no commit's merit.
  if (commit !== undefined && (await currentCommit(packageRoot)) === commit)
    parts.note(part, { commit, passed: status === 0, seconds });
  process.stdout.write(
    `${part.name} ${status === 0 ? "passed" : "failed"} after ${formatDuration(seconds)}\n`,
  );
  return status;
}
