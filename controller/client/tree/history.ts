/**
 * A `.git` for a working tree that is sent, made for it: the commit that it is based on with its files, the commits before it without
 * theirs, tags, and an index. By it `git describe`, `git status` and `git diff` say in the machine what they say here. Nothing else of
 * the repository is in it: neither its configuration, in whose URLs passwords may stand, nor hooks, nor other branches.
 *
 * The same commit gives the same bytes: objects are packed anew, each by itself, as deltas depend on who has packed when.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gitEnvironment, withoutPrograms } from "../../../os/git.ts";
import { run } from "../../../os/run.ts";
import { git } from "./files.ts";

/** Of a longer history nothing is sent but the commit itself. */
const mostCommits = 20_000;
const packSeconds = 600;

/** What was made; paths are relative to where it was made. */
export interface History {
  paths: readonly string[];
  /** Whether there are the commits before, too. */
  isWhole: boolean;
}

/** Makes `.git` below a directory, of a working tree's top. @throws {Failure} if git fails. */
export async function makeHistory(top: string, commit: string, into: string): Promise<History> {
  const words = async (...args: string[]) =>
    (await git(top, ...args)).split("\n").filter((line) => line !== "");
  const commits = await words("rev-list", `--max-count=${mostCommits + 1}`, commit);
  const isWhole = commits.length <= mostCommits;
  const tags = isWhole
    ? await words("for-each-ref", "--format=%(objectname) %(refname)", `--merged=${commit}`, "refs/tags")
    : [];
  const files = (await words("rev-list", "--objects", "--no-walk", commit)).map(
    (line) => line.split(" ")[0]!,
  );
  const tagged = tags.map((line) => line.split(" ")[0]!);
  const objects = [...new Set([...(isWhole ? commits : [commit]), ...tagged, ...files])];
  const shallow = isWhole ? await words("rev-parse", "--is-shallow-repository") : [];
  const cut = shallow[0] === "true" ? await parentless(words, commits) : isWhole ? [] : [commit];

  const at = (...names: string[]) => join(into, ".git", ...names);
  for (const name of ["objects/pack", "refs"]) await mkdir(at(name), { recursive: true });
  const isSha256 = commit.length === 64;
  const format = isSha256 ? "1\n[extensions]\n\tobjectFormat = sha256\n[core]" : "0";
  await writeFile(at("config"), `[core]\n\trepositoryFormatVersion = ${format}\n\tbare = false\n`);
  await writeFile(at("HEAD"), `${commit}\n`);
  await writeFile(at("packed-refs"), tags.map((line) => `${line}\n`).join(""));
  if (cut.length > 0) await writeFile(at("shallow"), `${cut.join("\n")}\n`);
  const settings = ["-c", "pack.packSizeLimit=0", "-c", "pack.compression=6"];
  const pack = [
    ...settings,
    "pack-objects",
    "-q",
    "--window=0",
    "--threads=1",
    "--no-reuse-delta",
    "--no-reuse-object",
  ];
  const { stdout } = await run(
    ["git", "-C", top, ...withoutPrograms, ...pack, at("objects", "pack", "pack")],
    {
      timeoutSeconds: packSeconds,
      env: gitEnvironment(),
      input: `${objects.join("\n")}\n`,
    },
  );
  await git(into, `--git-dir=${at()}`, "read-tree", commit);
  const name = `pack-${stdout.trim()}`;
  return {
    // Without the directory "refs" git takes it for no repository.
    paths: [
      "HEAD",
      "config",
      "index",
      "refs",
      `objects/pack/${name}.idx`,
      `objects/pack/${name}.pack`,
      "packed-refs",
    ]
      .concat(cut.length > 0 ? ["shallow"] : [])
      .map((path) => `.git/${path}`),
    isWhole,
  };
}

/** Where a history ends that is itself not whole. */
async function parentless(
  words: (...args: string[]) => Promise<string[]>,
  commits: readonly string[],
): Promise<string[]> {
  const roots = await words("rev-list", "--max-parents=0", commits[0]!);
  return roots.filter((id) => commits.includes(id));
}
