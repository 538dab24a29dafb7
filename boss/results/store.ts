/**
 * Results on disk, in the layout of U-Boot's buildman, whose summary can read them:
 *
 *     <output>/[<branch>/]<NN>_g<hash>_<subject>/<target>/     or, without commits, <output>/current/<target>/
 *
 * with `done` (return code), `err` (standard error, absent if empty), `log` (standard output), `sizes`, `host`, the
 * configuration files of a failed build, or what else was asked for, and, of the current source, `source` (the tree that
 * was built). Of files that the build has made and that were to be kept, `sha256sums` has the digests. A directory
 * with a complete `done` has everything, also after a power cut: the other files of all results of about a second are
 * brought to the disk at once, and then those results get their `done`; when a target is built again, the removal of
 * its `done` is on the disk before anything else changes. Without `done`, it is built again.
 *
 * Files are written by synchronous calls: on a tmpfs, 22,000 results/s of four files against 7,000 to 10,000 with
 * promises.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import { entriesIn } from "../../os/files/directories.ts";
import { syncFileSystem } from "../../os/files/sync-file-system.ts";
import type { MatrixCommit, Target } from "../matrix/matrix.ts";

/** What is kept of a build. */
export interface StoredResult {
  /** 0 built, 2 failed, 10 no toolchain. */
  returnCode: number;
  stderr: string;
  stdout: string;
  /** What `size` printed, without its header line. */
  sizes?: string;
  /** Configuration files of a failed build, or what else was asked for, by name. */
  config?: Readonly<Record<string, string>>;
  /** Files that it has made: they lie on the same file system, and go from there. */
  outputs?: readonly { name: string; path: string; sha256: string }[];
  /** Which host built it. */
  host: string;
  /** Hash of the tree that was built, of the current source: a commit's directory is named by its hash. */
  source?: string;
}

/** For so long results gather: one sync of the file system costs the same for all of them. */
const settleMilliseconds = 1000;
const subjectMaxCharacters = 20;
/** Names that the store itself uses. */
const ownFiles = new Set(["done", "err", "log", "sizes", "host", "source", "sha256sums"]);

/**
 * `<NN>_g<hash>_<subject>`; the number has at least two digits and counts from 1. Of the subject it is the first 20
 * characters, with `/`, `:` and blanks as `-`: U-Boot's buildman looks for just that name. Control characters, which
 * it would keep, become `_`.
 */
export function commitDirectory(commit: MatrixCommit, position: number): string {
  if (commit.hash === null) return "current";
  const subject = [...commit.subject]
    .slice(0, subjectMaxCharacters)
    .join("")
    .replace(/[/: ]/g, "-")
    .replace(/[\x00-\x1f\x7f-\x9f]/g, "_");
  return `${String(commit.number ?? position + 1).padStart(2, "0")}_g${commit.hash}_${subject}`;
}

/** What a commit's directory tells of it; undefined if the name is none of a commit's. */
export function commitOfDirectory(
  name: string,
): { number: number; hash: string; subject: string } | undefined {
  const [, number, hash, subject = ""] = /^(\d{2,})_g([0-9a-f]{40}|[0-9a-f]{64})_(.*)$/s.exec(name) ?? [];
  return hash === undefined ? undefined : { number: Number(number), hash, subject };
}

export class ResultStore {
  readonly directory: string;
  readonly #commits: readonly string[];
  readonly #made = new Set<string>();
  /** Targets that have a directory, by position of commit: most questions for results are answered by one listing. */
  readonly #listed = new Map<number, Set<string>>();
  /** Return codes of results that have no `done` yet, by directory. */
  #unsettled = new Map<string, number>();
  #settling: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failure: unknown;

  /**
   * @param directory the output directory, with the branch if there is one.
   * @param commits with `directory` if the name of it is known.
   * @throws {Failure} if it cannot be made.
   */
  constructor(directory: string, commits: readonly (MatrixCommit & { directory?: string })[]) {
    this.directory = directory;
    this.#commits = commits.map((commit, position) =>
      join(directory, commit.directory ?? commitDirectory(commit, position)),
    );
    attemptSync(`make '${directory}'`, () => {
      mkdirSync(directory, { recursive: true });
      this.#adopt(commits);
    });
  }

  /** Commits that had another number in an earlier run keep their results under the number of now. */
  #adopt(commits: readonly MatrixCommit[]): void {
    const byHash = new Map<string, string>();
    for (const name of readdirSync(this.directory)) {
      const hash = commitOfDirectory(name)?.hash;
      if (hash !== undefined) byHash.set(hash, join(this.directory, name));
    }
    for (const [position, { hash }] of commits.entries()) {
      const [there, wanted] = [byHash.get(hash ?? ""), this.#commits[position]!];
      if (there !== undefined && there !== wanted && !existsSync(wanted)) renameSync(there, wanted);
    }
  }

  pathOf(target: Target, commit: number): string {
    return join(this.#commits[commit]!, target.name);
  }

  /** Return code of the result that is there; undefined if there is none, or it was not written to its end. */
  returnCodeOf(target: Target, commit: number): number | undefined {
    if (!this.#targetsAt(commit).has(target.name)) return undefined;
    try {
      const text = readFileSync(join(this.pathOf(target, commit), "done"), "latin1");
      return /^-?\d+\n$/.test(text) ? Number(text) : undefined;
    } catch (error) {
      if (isSystemError(error, "ENOENT", "ENOTDIR")) return undefined;
      throw new Failure(`read the result of '${target.name}'`, reasonOf(error), { cause: error });
    }
  }

  #targetsAt(commit: number): Set<string> {
    const known = this.#listed.get(commit);
    if (known) return known;
    const directory = this.#commits[commit]!;
    const entries = entriesIn(directory, `read results in '${directory}'`);
    const targets = new Set(entries.map(({ name }) => name));
    this.#listed.set(commit, targets);
    return targets;
  }

  /** A file of a result; undefined if it is not there. */
  readFile(target: Target, commit: number, name: string): string | undefined {
    try {
      return readFileSync(join(this.pathOf(target, commit), name), "utf8");
    } catch (error) {
      if (isSystemError(error, "ENOENT", "ENOTDIR")) return undefined;
      throw new Failure(`read the result of '${target.name}'`, reasonOf(error), { cause: error });
    }
  }

  /**
   * Counts as a result once {@link settle} has returned, or about a second later.
   *
   * @throws {Failure} if it cannot be written, or one before could not be completed; then there is no `done`.
   */
  write(target: Target, commit: number, result: StoredResult): void {
    if (this.#failure !== undefined) throw this.#failure as Error;
    const directory = this.pathOf(target, commit);
    attemptSync(`write the result of '${target.name}' to '${directory}'`, () => {
      this.#prepare(this.#commits[commit]!, directory);
      const put = (name: string, text: string) => {
        if (text === "") closeSync(openSync(`${directory}/${name}`, "w"));
        else writeFileSync(`${directory}/${name}`, text);
      };
      if (result.stderr !== "") put("err", result.stderr);
      put("log", result.stdout);
      if (result.sizes !== undefined) put("sizes", result.sizes);
      put("host", `${result.host}\n`);
      if (result.source !== undefined) put("source", `${result.source}\n`);
      for (const [name, text] of Object.entries(result.config ?? {})) if (isPlainName(name)) put(name, text);
      const kept = (result.outputs ?? []).filter(({ name }) => isPlainName(name));
      for (const { name, path } of kept) renameSync(path, `${directory}/${name}`);
      if (kept.length > 0) put("sha256sums", kept.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join(""));
    });
    this.#listed.get(commit)?.add(target.name);
    this.#unsettled.set(directory, result.returnCode);
    this.#timer ??= setTimeout(() => void this.settle().catch(() => {}), settleMilliseconds); // it is kept, and thrown
  }

  /**
   * All results that were written count from now on, whatever happens to this host.
   *
   * @throws {Failure} if one cannot be completed.
   */
  async settle(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    try {
      await this.#settling;
      while (this.#unsettled.size > 0) await (this.#settling = this.#settleAll());
    } catch (error) {
      this.#failure ??= error;
    }
    if (this.#failure !== undefined) throw this.#failure as Error;
  }

  async #settleAll(): Promise<void> {
    const results = this.#unsettled;
    this.#unsettled = new Map();
    await syncFileSystem(this.directory);
    for (const [directory, returnCode] of results)
      attemptSync(`write to '${directory}'`, () => writeFileSync(`${directory}/done`, `${returnCode}\n`));
    if (this.#unsettled.size === 0) await syncFileSystem(this.directory);
  }

  /**
   * From now on there are no such results, whatever happens to this host; their files stay until there are new ones.
   *
   * @throws {Failure} if that cannot be written down.
   */
  async forget(cells: Iterable<readonly [Target, commit: number]>): Promise<void> {
    for (const [target, commit] of cells) {
      const path = join(this.pathOf(target, commit), "done");
      attemptSync(`remove '${path}'`, () => rmSync(path, { force: true }));
    }
    await syncFileSystem(this.directory);
  }

  /** A new directory, or an old one emptied, `done` first. */
  #prepare(parent: string, directory: string): void {
    if (!this.#made.has(parent)) {
      mkdirSync(parent, { recursive: true });
      this.#made.add(parent);
    }
    try {
      mkdirSync(directory);
      return;
    } catch (error) {
      if (isSystemError(error, "ENOENT")) return void mkdirSync(directory, { recursive: true });
      if (!isSystemError(error, "EEXIST")) throw error;
    }
    if (existsSync(`${directory}/done`)) {
      unlinkSync(`${directory}/done`);
      syncDirectorySync(directory);
    }
    for (const name of readdirSync(directory))
      rmSync(`${directory}/${name}`, { recursive: true, force: true });
  }
}

function syncDirectorySync(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** The worker names these files: nothing but a plain name that is not one of the store's own. */
function isPlainName(name: string): boolean {
  return (
    name === basename(name) &&
    !ownFiles.has(name) &&
    name.length <= 100 &&
    /^[\w.+-]+$/.test(name) &&
    !/^\.+$/.test(name)
  );
}

function attemptSync<T>(action: string, what: () => T): T {
  try {
    return what();
  } catch (error) {
    throw new Failure(action, reasonOf(error), { cause: error });
  }
}
