/**
 * Trust in the `croft.yaml` of a source tree: it comes with the tree, and says what is run here and on hosts. What it
 * names is shown and confirmed once for each tree and content.
 */
import { createHash } from "node:crypto";
import { appendFileSync, mkdirSync, readFileSync, realpathSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { askYesOrNo } from "../../os/command-line/ask.ts";
import { Failure, isSystemError, reasonOf, UsageFailure } from "../../os/failure.ts";
import { visible } from "../../os/text/visible.ts";
import type { BossFile } from "./boss-file.ts";

/** A configuration that was found in a tree. */
export interface FoundConfiguration {
  path: string;
  file: BossFile;
}

export interface TrustOptions {
  /** The keys that the command goes by. */
  used: readonly (keyof BossFile)[];
  /** `--trust-config` */
  confirmed: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * Sees to it that the user knows what a tree's configuration names.
 *
 * @throws {UsageFailure} if it is not confirmed.
 */
export async function confirmTrust(found: FoundConfiguration, options: TrustOptions): Promise<void> {
  const named = whatRuns(found.file);
  if (!options.used.some((key) => Object.hasOwn(named, key))) return;
  const record = fingerprint(found.path, named);
  if (isRemembered(record)) return;
  if (!options.confirmed) await ask(found.path, named, options.signal);
  remember(record);
}

async function ask(path: string, named: BossFile, signal?: AbortSignal): Promise<void> {
  const shown = describeNamed(named)
    .map((line) => `  ${line}\n`)
    .join("");
  const text = `'${visible(path)}' names what is run here and on hosts, and where, and has not been confirmed:\n${shown}`;
  const answer = await askYesOrNo(`${text}Use it?`, signal);
  if (answer === true) return;
  const hints = [
    "Read it, and give --trust-config: that confirms it, and is remembered until it changes.",
    "A file that is given with --config needs no confirmation.",
  ];
  const keys = Object.keys(named).join(", ");
  const reason =
    answer === false
      ? "it was not confirmed"
      : `nobody has confirmed what it names to be run, and where (${keys})`;
  throw new UsageFailure(`use configuration '${visible(path)}'`, reason, { hints });
}

/** All but names of targets, and of a recipe that croft has itself. */
function whatRuns({ targets: _, recipe, ...rest }: BossFile): BossFile {
  return typeof recipe === "object" ? { ...rest, recipe } : rest;
}

/** Each value with the path of its key, in a line. */
export function describeNamed(value: unknown, path = ""): string[] {
  const inner = typeof value === "object" && value !== null ? Object.entries(value) : [];
  if (inner.length > 0)
    return inner.flatMap(([key, each]) => describeNamed(each, path === "" ? key : `${path}.${key}`));
  if (value === null || typeof value === "object") return [visible(path)];
  return [visible(`${path}: ${String(value)}`)];
}

function fingerprint(path: string, named: BossFile): string {
  return createHash("sha256")
    .update(JSON.stringify([realpathSync(path), named]))
    .digest("hex");
}

/** One fingerprint a line. */
function recordFile(): string {
  const state = process.env["XDG_STATE_HOME"];
  const directory = state?.startsWith("/") ? state : join(homedir(), ".local", "state");
  return join(directory, "croft", "trusted-configurations");
}

function isRemembered(record: string): boolean {
  try {
    return readFileSync(recordFile(), "utf8").split("\n").includes(record);
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return false;
    const reason = reasonOf(error);
    throw new Failure(`read which configurations are trusted in '${recordFile()}'`, reason, { cause: error });
  }
}

function remember(record: string): void {
  const path = recordFile();
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    appendFileSync(path, `${record}\n`, { mode: 0o600 });
  } catch (error) {
    throw new Failure(`remember in '${path}' that a configuration is trusted`, reasonOf(error), {
      cause: error,
      hints: ["A file that is given with --config needs no confirmation."],
    });
  }
}
