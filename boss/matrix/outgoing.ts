/**
 * The repository that commits are pushed to hosts from: a bare one of our own that finds its objects in the source's.
 * So nothing that the source's configuration says of pushes (programs, other addresses, hooks) has a part in them, and
 * what hosts get beside the commits as they are, their submodules, lies nowhere in the source.
 */
import { appendFile, copyFile, cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { attempt, isSystemError } from "../../os/failure.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { run, type RunResult } from "../../os/run.ts";
import { tryGit, type DeskRepository } from "./git.ts";
import { gitEnvironment, withoutPrograms } from "../../os/git.ts";

const timeoutSeconds = 300;
const keepBytes = 64 * 1024 * 1024;

/** Where commits with the content of their submodules are; on hosts, git takes them in place of those without. */
export const filledRefs = "refs/croft/filled";

export class OutgoingRepository implements AsyncDisposable {
  /** A repository, which `git --git-dir` takes. */
  readonly directory: string;
  /** Commits that the source has without their parents. */
  readonly shallow: ReadonlySet<string>;
  readonly #own: AsyncDisposable;

  constructor(directory: string, shallow: ReadonlySet<string>, own: AsyncDisposable) {
    this.directory = directory;
    this.shallow = shallow;
    this.#own = own;
  }

  /** Runs git in it. @throws {ProgramFailure} for an exit status that is not expected. */
  async git(
    args: readonly string[],
    input: string | Uint8Array = "",
    accept: readonly number[] = [],
  ): Promise<RunResult> {
    const argv = ["git", `--git-dir=${this.directory}`, ...withoutPrograms, ...args];
    return await run(argv, { timeoutSeconds, keepBytes, env: gitEnvironment(), input, accept });
  }

  /** Finds objects in a further directory of such. */
  async addObjects(directory: string): Promise<void> {
    if (directory.includes("\n")) return; // git has no way to say this
    await appendFile(join(this.directory, "objects/info/alternates"), `${directory}\n`);
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#own[Symbol.asyncDispose]();
  }
}

/** Makes the repository, in a temporary directory. */
export async function outgoingRepository({
  objectFormat,
  objects,
  shallow,
}: DeskRepository): Promise<OutgoingRepository> {
  await using stack = new AsyncDisposableStack();
  const own = stack.use(await ownDirectory());
  const { path } = own;
  await mkdir(join(path, "objects/info"), { recursive: true });
  await mkdir(join(path, "refs"));
  await writeFile(join(path, "HEAD"), "ref: refs/heads/none\n");
  const format = objectFormat === "sha1" ? "" : `[extensions]\n\tobjectFormat = ${objectFormat}\n`;
  const version = format === "" ? 0 : 1;
  await writeFile(
    join(path, "config"),
    `[core]\n\trepositoryFormatVersion = ${version}\n\tbare = true\n${format}`,
  );
  const repository = new OutgoingRepository(path, await copyShallow(shallow, join(path, "shallow")), own);
  await repository.addObjects(objects);
  stack.move();
  return repository;
}

/**
 * The same, in which some commits have no parents.
 *
 * @param commits that are needed of it.
 * @param roots of these.
 * @returns with a commit that comes after all others: a host that is told of several roots at a time takes them only so.
 */
export async function withRoots(
  from: OutgoingRepository,
  commits: readonly string[],
  roots: readonly string[],
): Promise<OutgoingRepository & { joined: string }> {
  await using stack = new AsyncDisposableStack();
  const own = stack.use(await ownDirectory());
  const { path } = own;
  await cp(from.directory, path, { recursive: true });
  const refs = (await from.git(["for-each-ref", "--format=%(objectname) %(refname)", filledRefs])).stdout;
  const filled = refs.split("\n").flatMap((line) => {
    const [hash = "", ref] = line.split(" ");
    return ref === undefined ? [] : [{ hash, of: ref.slice(filledRefs.length + 1) }];
  });
  // A commit with the files of its submodules has the parents of the one that it stands for.
  const filledRoots = filled.filter(({ of }) => roots.includes(of)).map(({ hash }) => hash);
  const shallow = new Set([...from.shallow, ...roots, ...filledRoots]);
  await writeFile(join(path, "shallow"), [...shallow].map((hash) => `${hash}\n`).join(""));
  const repository = new OutgoingRepository(path, shallow, own);
  const parents = [...commits, ...filled.map(({ hash }) => hash)].flatMap((hash) => ["-p", hash]);
  const joined = (await repository.git([...someone, "commit-tree", `${commits[0]}^{tree}`, ...parents]))
    .stdout;
  stack.move();
  return Object.assign(repository, { joined: joined.trim() });
}

/** For a commit that nobody sees. */
const someone = ["-c", "user.name=croft", "-c", "user.email=croft@localhost", "-c", "commit.gpgSign=false"];

const ownDirectory = () => attempt("make a directory for what hosts get", temporaryDirectory("croft-push-"));

async function copyShallow(from: string, to: string): Promise<Set<string>> {
  try {
    await copyFile(from, to);
    return new Set((await readFile(to, "utf8")).split("\n").filter(Boolean));
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return new Set();
    throw error;
  }
}

/** Whether git gets some of the source's objects only when they are needed, from where it was cloned. */
export async function isPartialClone(source: string): Promise<boolean> {
  return (
    (await tryGit(source, ["config", "--local", "--get-regexp", String.raw`^remote\..*\.promisor$`])) !==
    undefined
  );
}
