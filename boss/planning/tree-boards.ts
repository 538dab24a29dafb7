/**
 * The boards that a source tree has, by what the tree itself says: U-Boot's own generator is run (only Kconfig knows a
 * board's architecture, cpu and vendor), on a copy of the files it reads, and its list is kept by their hash. Of Linux,
 * the names of its configurations are enough.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, symlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { attempt, Failure, isSystemError, reasonOf, UsageFailure } from "../../os/failure.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { run } from "../../os/run.ts";
import { cleanEnvironment } from "../../worker/remote/environment.ts";
import { filesOf, type TreeFile } from "../matrix/git.ts";
import { gitEnvironment, withoutPrograms } from "../../os/git.ts";
import { checkTargetName, hostArchitecture } from "../matrix/matrix.ts";
import { parseBoardList, type Board } from "./board-list.ts";

const generator = "tools/buildman/main.py";
/** What the generator is, and what it reads. */
const generatorFiles =
  /^(?:tools\/(?:buildman|u_boot_pylib|patman)\/|configs\/|scripts\/|(?:.*\/)?(?:Kconfig[^/]*|MAINTAINERS|[^/]*\.config|[^/]*_defconfig)$)/;
const generatorSeconds = 1800;
const contentSeconds = 300;
const contentBytes = 512 * 1024 * 1024;
const symbolicLink = "120000";
const executable = "100755";

/** Where to look. */
export interface BoardsQuery {
  source: string;
  /** Whose tree. */
  commit: string;
  /** Tells that something takes its time. */
  say?: ((text: string) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** The boards of a U-Boot tree; undefined if it has no generator of them. @throws {Failure} if that fails. */
export async function uBootBoards(query: BoardsQuery): Promise<Board[] | undefined> {
  const files = (await filesOf(query.source, query.commit)).filter(({ path }) => generatorFiles.test(path));
  if (!files.some(({ path }) => path === generator)) return undefined;
  const key = createHash("sha256");
  for (const { mode, hash, path } of files) key.update(`${mode} ${hash} ${path}\0`);
  const kept = join(homedir(), ".cache", "croft", "boards", key.digest("hex"));
  return usable(parseBoardList((await readKept(kept)) ?? (await generate(files, kept, query))));
}

/** The list in a file that the user names. @throws {UsageFailure} if there are no boards in it. */
export async function boardsOfFile(path: string): Promise<Board[]> {
  const boards = parseBoardList(await attempt(`read the list of boards '${path}'`, readFile(path, "utf8")));
  if (boards.length > 0) return usable(boards);
  throw new UsageFailure(`read the list of boards '${path}'`, "there are none in it");
}

/** The configurations of a Linux tree, named `arm64:defconfig`; undefined if it has none. */
export async function linuxBoards({ source, commit }: BoardsQuery): Promise<Board[] | undefined> {
  const boards = (await filesOf(source, commit, "arch")).flatMap(({ path }) => {
    const [, linuxArch, config] = /^arch\/([^/]+)\/configs\/([^/]*defconfig)$/.exec(path) ?? [];
    if (linuxArch === undefined || config === undefined) return [];
    const arch = { arm64: "aarch64", um: hostArchitecture }[linuxArch] ?? linuxArch;
    const target = `${linuxArch}:${config}`;
    return [{ target, arch, properties: [target, arch, linuxArch, config] }];
  });
  return boards.length > 0 ? usable(boards) : undefined;
}

/** Names become directories here and on hosts. */
function usable(boards: Board[]): Board[] {
  return boards.filter(({ target, arch }) => checkTargetName(target) === undefined && arch !== "");
}

async function readKept(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return undefined;
    throw new Failure("read the list of boards", reasonOf(error), { cause: error });
  }
}

async function generate(files: readonly TreeFile[], kept: string, query: BoardsQuery): Promise<string> {
  const { say, signal } = query;
  say?.("Listing the tree's boards with its own tools/buildman, once for these files…");
  await using directory = await temporaryDirectory("croft-boards-");
  const tree = join(directory.path, "tree");
  await writeFiles(files, tree, query);
  const list = join(directory.path, "boards.cfg");
  try {
    // Its settings would be written to the user's home directory; warnings about maintainers are its status 2.
    const { stderr } = await run(["python3", "-B", generator, "-R", list], {
      ...{ cwd: tree, timeoutSeconds: generatorSeconds, accept: [2] },
      env: { ...cleanEnvironment(), HOME: directory.path, TMPDIR: directory.path },
      ...(signal && { signal }),
    });
    const text = await readFile(list, "utf8");
    // It ends well also when a process of its own that read some of the configurations did not.
    const [found, expected] = [parseBoardList(text).length, files.filter(isConfiguration).length];
    if (found < expected) throw new Error(`${found} of ${expected} were read:\n${stderr.trim()}`);
    await keep(kept, text);
    return text;
  } catch (error) {
    signal?.throwIfAborted();
    throw new Failure("list the tree's boards", reasonOf(error), {
      cause: error,
      hints: [
        "It takes python3 and cpp here. Or name targets as NAME:ARCH,",
        "or give a list that there is already with --board-list.",
      ],
    });
  }
}

function isConfiguration({ path }: TreeFile): boolean {
  return /^configs\/(?:.*\/)?[^./][^/]*_defconfig$/.test(path);
}

async function keep(path: string, text: string): Promise<void> {
  await attempt("keep the list of boards", mkdir(dirname(path), { recursive: true }));
  await attempt("keep the list of boards", writeFile(`${path}.${process.pid}`, text));
  await attempt("keep the list of boards", rename(`${path}.${process.pid}`, path));
}

/** As they are in the tree: no filter that its attributes name is run. */
async function writeFiles(files: readonly TreeFile[], directory: string, query: BoardsQuery): Promise<void> {
  const argv = ["git", "-C", query.source, ...withoutPrograms, "cat-file", "--batch"];
  const { stdoutBytes } = await run(argv, {
    ...{ timeoutSeconds: contentSeconds, keepBytes: contentBytes, env: gitEnvironment() },
    input: files.map(({ hash }) => `${hash}\n`).join(""),
  });
  const bytes = Buffer.from(stdoutBytes.buffer, stdoutBytes.byteOffset, stdoutBytes.byteLength);
  let at = 0;
  const links: [target: string, path: string][] = [];
  for (const { path, mode } of files) {
    const end = bytes.indexOf("\n", at);
    const [, type, size] = bytes.toString("latin1", at, end).split(" ");
    if (type !== "blob") throw new Failure(`read '${path}'`, `git says '${bytes.toString("utf8", at, end)}'`);
    const content = bytes.subarray(end + 1, end + 1 + Number(size));
    at = end + 1 + Number(size) + 1;
    const place = join(directory, path);
    await mkdir(dirname(place), { recursive: true });
    if (mode === symbolicLink) links.push([content.toString(), place]);
    else await writeFile(place, content, { flag: "wx", mode: mode === executable ? 0o755 : 0o644 });
  }
  for (const [target, place] of links) await symlink(target, place); // last: nothing is written through one
}
