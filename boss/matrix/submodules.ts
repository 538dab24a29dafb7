/**
 * Submodules, brought along: hosts get each commit with the files of its submodules in place of the entries that only
 * name a commit of theirs. A commit with such a tree is pushed as the replacement (git-replace) of the one it stems from, so
 * that on hosts that has its own hash, and the files.
 *
 * Neither here nor there is a submodule cloned, and no address, name or setting of one is gone by: `.gitmodules` only says
 * which paths are submodules, and their commits are taken from the repositories that are at the desk (submodule-objects.ts).
 */
import { UsageFailure } from "../../os/failure.ts";
import { visible } from "../../os/text/visible.ts";
import { git } from "./git.ts";
import { filledRefs, type OutgoingRepository } from "./outgoing.ts";
import { checkedOutObjects, clonedObjects } from "./submodule-objects.ts";

/** Of a commit, nested ones included. */
const mostSubmodules = 10_000;
const deepest = 100;

/** An entry of a tree; names are bytes, as characters from 0 to 255. */
interface Entry {
  mode: string;
  hash: string;
  name: string;
}

interface Filled {
  tree: string;
  /** In it, nested ones included. */
  submodules: number;
}

/**
 * Makes, of commits with submodules, such with all files, below {@link filledRefs}.
 *
 * @returns how many there are.
 * @throws {UsageFailure} if the commit of a submodule is not at the desk.
 */
export async function fillSubmodules(
  source: string,
  outgoing: OutgoingRepository,
  commits: readonly string[],
): Promise<number> {
  const withSubmodules = await commitsWithSubmodules(outgoing, commits);
  if (withSubmodules.length === 0) return 0;
  const directories = await git(source, [
    ...["rev-parse", "--path-format=absolute", "--git-common-dir", "--absolute-git-dir"],
  ]);
  for (const objects of clonedObjects([...new Set(directories.trim().split("\n"))]))
    await outgoing.addObjects(objects);
  const filling = new Filling(source, outgoing);
  const updates: string[] = [];
  for (const commit of withSubmodules) {
    const filled = await filling.commit(commit);
    if (filled !== undefined) updates.push(`create ${filledRefs}/${commit} ${filled}\n`);
  }
  await outgoing.git(["update-ref", "--stdin"], updates.join(""));
  return updates.length;
}

/** Without a file that tells of them, a commit's entries for others are no submodules, and empty directories in git, too. */
async function commitsWithSubmodules(outgoing: OutgoingRepository, commits: readonly string[]) {
  const unique = [...new Set(commits)];
  const input = unique.map((commit) => `${commit}:.gitmodules\n`).join("");
  const { stdout } = await outgoing.git(["cat-file", "--batch-check=%(objecttype)"], input);
  const kinds = stdout.split("\n");
  return unique.filter((_, at) => kinds[at] === "blob");
}

class Filling {
  readonly #source: string;
  readonly #outgoing: OutgoingRepository;
  readonly #filled = new Map<string, Promise<Filled>>();
  readonly #paths = new Map<string, Promise<string[]>>();
  readonly #searched = new Set<string>();
  /** The commit that is asked for, for messages. */
  #commit = "";

  constructor(source: string, outgoing: OutgoingRepository) {
    this.#source = source;
    this.#outgoing = outgoing;
  }

  /** A commit like this one with all files; undefined if it has no submodule. */
  async commit(hash: string): Promise<string | undefined> {
    this.#commit = hash;
    const { tree, submodules } = await this.#treeOfCommit(hash, "", 0);
    if (submodules === 0) return undefined;
    const { stdoutBytes } = await this.#outgoing.git(["cat-file", "commit", hash]);
    const text = Buffer.from(stdoutBytes).toString("latin1");
    const end = text.indexOf("\n\n");
    const kept = text
      .slice(0, end)
      .split("\n")
      .filter((line) => !this.#outgoing.shallow.has(hash) || !line.startsWith("parent "))
      .map((line) => line.replace(/^tree .*/, `tree ${tree}`));
    const raw = Buffer.from(kept.join("\n") + text.slice(end), "latin1");
    const args = ["hash-object", "-t", "commit", "-w", "--literally", "--stdin"];
    return (await this.#outgoing.git(args, raw)).stdout.trim();
  }

  /** @param at where its files are in the commit that is asked for, with a slash at the end. */
  async #treeOfCommit(hash: string, at: string, depth: number): Promise<Filled> {
    const tree = (await this.#outgoing.git(["rev-parse", "--verify", `${hash}^{tree}`])).stdout.trim();
    const entries = await this.#entries(tree);
    const file = entries.find(({ name, mode }) => name === ".gitmodules" && mode.startsWith("100"));
    if (!file) return { tree, submodules: 0 };
    return await this.#fill(tree, await this.#pathsIn(file.hash), at, depth);
  }

  /** @param paths of submodules, in this tree. */
  #fill(tree: string, paths: readonly string[], at: string, depth: number): Promise<Filled> {
    const key = `${tree}\0${paths.join("\0")}`;
    const filled = this.#filled.get(key) ?? this.#fillAnew(tree, paths, at, depth);
    this.#filled.set(key, filled);
    return filled;
  }

  async #fillAnew(tree: string, paths: readonly string[], at: string, depth: number): Promise<Filled> {
    let submodules = 0;
    const lines: string[] = [];
    for (const { mode, hash, name } of await this.#entries(tree)) {
      const filled = await this.#fillEntry({ mode, hash, name }, paths, at, depth);
      submodules += filled?.submodules ?? 0;
      if (filled && submodules > mostSubmodules)
        throw this.#refusal(`it has more than ${mostSubmodules} submodules`);
      lines.push(
        filled ? `040000 tree ${filled.tree}\t${name}\0` : `${mode} ${kindOf(mode)} ${hash}\t${name}\0`,
      );
    }
    if (submodules === 0) return { tree, submodules };
    const input = Buffer.from(lines.join(""), "latin1");
    return {
      tree: (await this.#outgoing.git(["mktree", "-z", "--missing"], input)).stdout.trim(),
      submodules,
    };
  }

  /** Undefined for an entry that stays as it is. */
  async #fillEntry({ mode, hash, name }: Entry, paths: readonly string[], at: string, depth: number) {
    if (mode === "160000" && paths.includes(name)) {
      if (depth > deepest) throw this.#refusal(`its submodules are more than ${deepest} deep`);
      await this.#find(hash, `${at}${name}`);
      const { tree, submodules } = await this.#treeOfCommit(hash, `${at}${name}/`, depth + 1);
      return { tree, submodules: submodules + 1 };
    }
    const below = paths.filter((path) => path.startsWith(`${name}/`));
    if (mode !== "040000" || below.length === 0) return undefined;
    const filled = await this.#fill(
      hash,
      below.map((path) => path.slice(name.length + 1)),
      `${at}${name}/`,
      depth,
    );
    return filled.submodules > 0 ? filled : undefined;
  }

  /** Sees to it that a submodule's commit is there. */
  async #find(hash: string, path: string): Promise<void> {
    if (await this.#isCommit(hash)) return;
    const name = Buffer.from(path, "latin1").toString();
    const objects = this.#searched.has(name) ? undefined : checkedOutObjects(this.#source, name);
    this.#searched.add(name);
    if (objects !== undefined) await this.#outgoing.addObjects(objects);
    if (objects !== undefined && (await this.#isCommit(hash))) return;
    throw this.#refusal(`commit ${hash.slice(0, 12)} of its submodule '${visible(name)}' is not here`, [
      "If you trust where it comes from: git submodule update --init --recursive",
      "--no-submodules leaves their directories empty in the builds.",
    ]);
  }

  async #isCommit(hash: string): Promise<boolean> {
    const { stdout } = await this.#outgoing.git(["cat-file", "--batch-check=%(objecttype)"], `${hash}\n`);
    return stdout.trim() === "commit";
  }

  #pathsIn(blob: string): Promise<string[]> {
    const paths = this.#paths.get(blob) ?? this.#readPaths(blob);
    this.#paths.set(blob, paths);
    return paths;
  }

  async #readPaths(blob: string): Promise<string[]> {
    const args = ["config", "--blob", blob, "-z", "--get-regexp", String.raw`^submodule\..*\.path$`];
    const { stdoutBytes, stderr } = await this.#outgoing.git(args, "", [1, 128]);
    if (stderr !== "") throw this.#refusal("its .gitmodules cannot be read"); // whatever the exit status is
    const values = Buffer.from(stdoutBytes).toString("latin1").split("\0").slice(0, -1);
    const paths = values.map((text) => text.slice(text.indexOf("\n") + 1).replace(/\/+$/, ""));
    const odd = paths.find((path) => path.split("/").some((name) => /^(?:|\.\.?|\.git)$/i.test(name)));
    if (odd === undefined) return paths;
    const shown = visible(Buffer.from(odd, "latin1").toString());
    throw this.#refusal(`its .gitmodules has a submodule at '${shown}', which is no path in the source`);
  }

  async #entries(tree: string): Promise<Entry[]> {
    const { stdoutBytes } = await this.#outgoing.git(["ls-tree", "-z", tree]);
    const lines = Buffer.from(stdoutBytes).toString("latin1").split("\0").slice(0, -1);
    return lines.map((line) => {
      const tab = line.indexOf("\t");
      const [mode = "", , hash = ""] = line.slice(0, tab).split(" ");
      return { mode, hash, name: line.slice(tab + 1) };
    });
  }

  #refusal(reason: string, hints: readonly string[] = []): UsageFailure {
    return new UsageFailure(`build commit ${this.#commit.slice(0, 12)}`, reason, { hints });
  }
}

function kindOf(mode: string): string {
  if (mode === "040000") return "tree";
  return mode === "160000" ? "commit" : "blob";
}
