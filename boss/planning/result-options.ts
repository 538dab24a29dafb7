/** Options that say what comes along with results, and what of it is told. */
import type { OptionDeclaration, OptionValues } from "../../os/command-line/options.ts";
import { details, type Detail } from "../../worker/protocol.ts";
import type { SummaryOptions } from "../results/summary.ts";
import type { TextOptions } from "../results/summary-text.ts";
import { warningFilter } from "../results/warning-filter.ts";
import { wordsOf } from "./settings-options.ts";

/** What is kept of each build. */
export const keepOptions: readonly OptionDeclaration[] = [
  {
    name: "keep-outputs",
    kind: "flag",
    short: "k",
    prose: "keep what the recipe names of each build's files (U-Boot's images, maps and programs)",
  },
  {
    name: "keep",
    kind: "string",
    value: "PATTERNS",
    repeat: true,
    check: (text) =>
      text.split(",").every((word) => word !== "" && !/^\/|(?:^|\/)\.\.(?:\/|$)/.test(word))
        ? undefined
        : "expected patterns relative to the output directory, separated by commas",
    prose: "keep files of each build that fit these patterns, relative to its output directory",
  },
  {
    name: "details",
    kind: "flag",
    prose: "keep configuration, environment, sections and function sizes also of successful builds",
  },
];

/** What the summary tells, of results that have it. */
export const shownOptions: readonly OptionDeclaration[] = [
  {
    name: "show-config",
    kind: "flag",
    short: "K",
    prose: "tell how the configuration has changed",
  },
  {
    name: "show-environment",
    kind: "flag",
    short: "U",
    prose: "tell how U-Boot's environment has changed",
  },
  {
    name: "bloat",
    kind: "flag",
    short: "B",
    prose: "tell of each target's functions that have another size than before",
  },
  {
    name: "detail",
    kind: "flag",
    short: "d",
    prose: "tell the change of size of each target, however many there are",
  },
  {
    name: "filter-dtb-warnings",
    kind: "flag",
    short: "y",
    prose: "leave out warnings of the device-tree compiler",
  },
  {
    name: "filter-migration-warnings",
    kind: "flag",
    short: "Y",
    prose: "leave out U-Boot's warnings of boards that are to be migrated",
  },
];

/** What the summary is to tell. */
export function summaryOptions(values: OptionValues): SummaryOptions {
  const filter = warningFilter({
    deviceTree: values["filter-dtb-warnings"] === true,
    migration: values["filter-migration-warnings"] === true,
  });
  return { details: shownDetails(values), filter };
}

/** How much of it is told. */
export function textOptions(values: OptionValues): TextOptions {
  const all = values["list-targets"] === true;
  return { all, detail: all || values["detail"] === true };
}

/** Which details each option that shows them needs. */
const neededBy: Readonly<Record<string, Detail>> = {
  "show-config": "config",
  "show-environment": "environment",
  bloat: "functions",
};

/** What workers are sent of the options that were given. */
export function resultSettings(values: OptionValues): Record<string, unknown> {
  const wanted = values["details"] === true ? details : shownDetails(values);
  const keep = wordsOf(values, "keep");
  return {
    ...(wanted.length > 0 ? { details: wanted } : {}),
    ...(keep.length > 0 ? { keep } : {}),
    ...(values["keep-outputs"] === true ? { keep_outputs: true } : {}),
  };
}

function shownDetails(values: OptionValues): Detail[] {
  return Object.entries(neededBy).flatMap(([option, detail]) => (values[option] === true ? [detail] : []));
}
