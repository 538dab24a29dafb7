/**
 * The repository that commits are pushed to hosts from: a bare one of our own that finds its objects in the source's.
 * So nothing that the source's configuration says of pushes (programs, other addresses, hooks) has a part in them, and
 * what hosts get beside the commits as they are, their submodules, lies nowhere in the source.
 */
import { appendFile, copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { attempt, isSystemError } from "../../os/failure.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { run, type RunResult } from "../../os/run.ts";
import { gitEnvironment, tryGit, withoutPrograms, type DeskRepository } from "./git.ts";

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
  const own = stack.use(
    await attempt("make a directory for what hosts get", temporaryDirectory("croft-push-")),
  );
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
