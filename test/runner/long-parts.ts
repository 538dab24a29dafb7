/** The parts of the long tests, and how each ended when it was run last, which `.cache/long` remembers. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { formatDuration } from "../../os/text/duration.ts";
import { UsageFailure } from "../../os/failure.ts";
import { run } from "../../os/run.ts";

export interface LongPart {
  name: string;
  /** From the package's root. */
  file: string;
  /** The first line of the file's comment. */
  subject: string;
}

/** How a part ended. */
export interface PartState {
  /** The commit that was tested. */
  commit: string;
  passed: boolean;
  seconds: number;
}

export class LongParts {
  readonly all: readonly LongPart[];
  readonly #root: string;

  /** @param files the parts' files, from the package's root: `NAME.long.ts` */
  constructor(root: string, files: readonly string[]) {
    this.#root = root;
    this.all = files
      .map((file) => ({ name: basename(file, ".long.ts"), file, subject: subjectOf(join(root, file)) }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws {UsageFailure} if there is no part of that name. */
  find(name: string): LongPart {
    const part = this.all.find((one) => one.name === name);
    if (part === undefined)
      throw new UsageFailure(`run '${name}'`, "there is no such part", {
        hints: [`There are ${this.all.map((one) => one.name).join(", ")}.`],
      });
    return part;
  }

  /** Whether a part has passed on a commit; nothing has on an unknown one. */
  hasPassed(part: LongPart, commit: string | undefined): boolean {
    const state = this.#stateOf(part);
    return commit !== undefined && state?.commit === commit && state.passed;
  }

  /** Remembers how a part ended. */
  note({ name }: LongPart, state: PartState): void {
    mkdirSync(this.#directory, { recursive: true });
    const path = join(this.#directory, `${name}.json`);
    writeFileSync(`${path}.new`, JSON.stringify(state));
    renameSync(`${path}.new`, path);
  }

  /** Removes what a part that is run in several pieces has kept of those before: a directory of its name. */
  forget({ name }: LongPart): void {
    rmSync(join(this.#directory, name), { recursive: true, force: true });
  }

  /** A line for each part: its name, how it ended last, and its subject. */
  listing(commit: string | undefined): string {
    const rows = this.all.map((part) => [part.name, this.#words(part, commit), part.subject] as const);
    const width = (column: 0 | 1) => Math.max(...rows.map((row) => row[column].length));
    return rows
      .map(([name, state, subject]) => `${name.padEnd(width(0))}  ${state.padEnd(width(1))}  ${subject}\n`)
      .join("");
  }

  #words(part: LongPart, commit: string | undefined): string {
    const state = this.#stateOf(part);
    if (state === undefined) return "not run yet";
    const where = state.commit === commit ? "this commit" : state.commit.slice(0, 9);
    return `${state.passed ? "passed" : "failed"} on ${where} after ${formatDuration(state.seconds)}`;
  }

  #stateOf({ name }: LongPart): PartState | undefined {
    try {
      return JSON.parse(readFileSync(join(this.#directory, `${name}.json`), "utf8")) as PartState;
    } catch {
      return undefined; // never run, or not readable: then it is run again
    }
  }

  get #directory(): string {
    return join(this.#root, ".cache", "long");
  }
}

/** The commit whose content the work tree has; undefined if it has changes, or if this is no clone. */
export async function currentCommit(root: string): Promise<string | undefined> {
  const git = async (...args: string[]) =>
    (await run(["git", "-C", root, ...args], { timeoutSeconds: 300, accept: [128] })).stdout.trim();
  const commit = await git("rev-parse", "--verify", "HEAD");
  if (!/^[0-9a-f]{40,}$/.test(commit)) return undefined;
  return (await git("status", "--porcelain")) === "" ? commit : undefined;
}

function subjectOf(path: string): string {
  const comment = /^\/\*\*\s*(?:\* )?(.*?)(?: \*\/)?$/m.exec(readFileSync(path, "utf8"))?.[1];
  return comment ?? "";
}
