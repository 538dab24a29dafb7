/** What a check is, and how checks are run: side by side, each with a deadline, none of them able to stop the others. */
import { Deadline } from "../../os/deadline.ts";
import { Failure, reasonOf } from "../../os/failure.ts";
import type { Settings } from "../settings/settings.ts";

/** `warning`: it works, but not as well as it could; `problem`: it does not. */
export type Level = "ok" | "warning" | "problem";

/** One line of the report. */
export interface Finding {
  level: Level;
  /** What was looked at. */
  subject: string;
  /** What was found. */
  text: string;
  /** What to do about it: a command where there is one. */
  fix?: string;
}

/** One thing, or some that belong together. */
export interface Check {
  name: string;
  /** By default 12. */
  deadlineSeconds?: number;
  /** Leaves nothing behind, also when aborted. What it throws is a problem. */
  run: (settings: Settings, signal: AbortSignal) => Promise<Finding[]>;
}

const defaultDeadlineSeconds = 12;

export const ok = (subject: string, text: string): Finding => ({ level: "ok", subject, text });
export const warning = (subject: string, text: string, fix: string): Finding => ({
  level: "warning",
  subject,
  text,
  fix,
});
export const problem = (subject: string, text: string, fix: string): Finding => ({
  level: "problem",
  subject,
  text,
  fix,
});

/**
 * Runs all checks; their findings in the order of the checks.
 *
 * @param options.graceSeconds for a check to remove what it has made, after its deadline.
 */
export async function runChecks(
  checks: readonly Check[],
  settings: Settings,
  signal: AbortSignal,
  { graceSeconds = 3 } = {},
): Promise<Finding[]> {
  const found = await Promise.all(checks.map((check) => runCheck(check, settings, signal, graceSeconds)));
  signal.throwIfAborted();
  return found.flat();
}

async function runCheck(
  check: Check,
  settings: Settings,
  signal: AbortSignal,
  graceSeconds: number,
): Promise<Finding[]> {
  const seconds = check.deadlineSeconds ?? defaultDeadlineSeconds;
  const deadline = AbortSignal.timeout(seconds * 1000);
  const late = problem(check.name, `no answer within ${seconds} s`, "Look for a disk or server that hangs.");
  using over = new Deadline(seconds + graceSeconds);
  try {
    const found = check.run(settings, AbortSignal.any([deadline, signal]));
    return await Promise.race([found, over.passed.then(() => [late])]);
  } catch (error) {
    if (deadline.aborted) return [late];
    const hints = error instanceof Failure ? error.hints : [];
    return [
      problem(
        check.name,
        reasonOf(error),
        hints.join(" ") || "Mend that: it keeps the check from being made.",
      ),
    ];
  }
}
