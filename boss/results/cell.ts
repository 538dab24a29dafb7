/** One result, as far as overviews need it. */
import { withoutUndefined } from "../../os/without-undefined.ts";
import { firstError } from "./first-error.ts";
import type { StoredResult } from "./store.ts";

export type CellStatus = "built" | "warning" | "failed" | "missing";

/** One result, as far as overviews need it. */
export interface Cell {
  status: CellStatus;
  returnCode?: number;
  /** The first line of standard error that tells what is wrong. */
  message?: string;
  /** Lines of standard error that warn, also of a failed build. */
  warnings: readonly string[];
  host?: string;
}

/** What overviews need of a result. */
export function cellOf({
  returnCode,
  stderr,
  host,
}: Pick<StoredResult, "returnCode" | "stderr" | "host">): Cell {
  const warnings = stderr === "" ? [] : stderr.split("\n").filter((line) => /\bwarning\b/i.test(line));
  const base = { returnCode, warnings, ...withoutUndefined({ host: host || undefined }) };
  if (returnCode !== 0)
    return { ...base, status: "failed", message: firstError(stderr) ?? reasonOfCode(returnCode) };
  const message = warnings[0]?.trim() ?? firstLine(stderr);
  return message === undefined ? { ...base, status: "built" } : { ...base, status: "warning", message };
}

function firstLine(text: string): string | undefined {
  return text
    .split("\n")
    .find((line) => line.trim() !== "")
    ?.trim();
}

function reasonOfCode(returnCode: number): string {
  return returnCode === 10 ? "no toolchain for its architecture" : `return code ${returnCode}`;
}
