import { basename, join } from "node:path";
import { writeFile } from "node:fs/promises";
import { attempt } from "../os/failure.ts";
import type { OptionValues } from "../os/command-line/options.ts";
import { describeCommits } from "./matrix/commits.ts";
import { findMatrix } from "./results/found-matrix.ts";
import { summaryOptions, textOptions } from "./planning/result-options.ts";
import { readProject } from "./planning/plan.ts";
import { reportPage } from "./results/report-html.ts";
import { formatSummary } from "./results/summary-text.ts";
import { summarize } from "./results/summary.ts";

/** `croft boss report`. */
export async function report(values: OptionValues, names: readonly string[]): Promise<void> {
  const project = await readProject(values);
  const branch = values["branch"] as string | undefined;
  const output = branch === undefined ? project.output : join(project.output, branch.replaceAll("/", "_"));
  const describe = (hashes: string[]) => describeCommits(project.source, hashes);
  const { store, matrix } = await findMatrix(output, names, {
    describe,
    current: values["current"] === true,
  });
  const told = summaryOptions(values);
  const summary = summarize(store, matrix, told);
  process.stdout.write(formatSummary(matrix, summary, textOptions(values)));
  const html = values["html"] as string | undefined;
  if (html === undefined) return;
  const page = reportPage(`Builds of ${basename(project.source)}`, store, matrix, summary);
  await attempt(`write '${html}'`, writeFile(html, page));
  process.stdout.write(`written: ${html}\n`);
}
