/** From options and configuration to what is to be done: hosts, targets, commits, and where the results go. */
import { basename, join, resolve } from "node:path";
import { UsageFailure } from "../../os/failure.ts";
import type { OptionValues } from "../../os/command-line/options.ts";
import { visible } from "../../os/text/visible.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { expandHome } from "../../worker/remote/toolchain.ts";
import type { BossFile } from "./boss-file.ts";
import { configuredHosts, foundConfiguration, readBossFile } from "./configuration.ts";
import { confirmTrust } from "./trust.ts";
import { resultSettings } from "./result-options.ts";
import { settingsOf, wordsOf } from "./settings-options.ts";
import { enumerate, selectTargets } from "./targets.ts";
import { boardsOfFile, linuxBoards, uBootBoards, type BoardsQuery } from "./tree-boards.ts";
import { selectCommits } from "../matrix/commits.ts";
import {
  commitWorkTree,
  headCommit,
  lfsPointersOf,
  repositoryOf,
  tipsOf,
  treeOf,
  type DeskRepository,
} from "../matrix/git.ts";
import { localName, parseHosts, type Host } from "../hosts/hosts.ts";
import { hostArchitecture, type MatrixCommit, type Target } from "../matrix/matrix.ts";

/** What all commands know. */
export interface Project {
  source: string;
  file: BossFile;
  hosts: Host[];
  /** Of the results, without the branch. */
  output: string;
}

/** A matrix to be built. */
export interface Plan {
  project: Project;
  targets: Target[];
  /** How many boards of the tree each term has brought. */
  counts: ReadonlyMap<string, number>;
  commits: MatrixCommit[];
  repository: DeskRepository;
  /** Whether their files go to hosts. */
  submodules: boolean;
  /** Commits to push, the first as the branch `work`. */
  tips: string[];
  /** What the user has to know of the choice of targets and commits. */
  notes: string[];
  /** Hash of the tree, if the current source is built. */
  currentTree?: string;
  toolchains: Record<string, string>;
  /** Sent to workers. */
  settings: Record<string, unknown>;
  workerCommand: string | undefined;
  /** Where the results go, with the branch. */
  output: string;
}

/** @throws {UsageFailure} for a configuration or a host that cannot be used. */
export async function readProject(values: OptionValues): Promise<Project> {
  const source = resolve(String(values["source"]));
  const file = await readBossFile(values["config"] as string | undefined, source);
  const name = basename(source) || "root";
  const workDirectory =
    (values["work-dir"] as string | undefined) ?? file["work-dir"] ?? `~/.cache/croft/work/${name}`;
  const given = values["hosts"] as string | undefined;
  const hosts = given === undefined ? configuredHosts(file, workDirectory) : parseHosts(given, workDirectory);
  const doubled = hosts.find(({ name: each }, at) => hosts.findIndex((host) => host.name === each) !== at);
  if (doubled) throw new UsageFailure(`use host '${doubled.name}'`, "it is named twice");
  if (hosts.some(({ name: each }) => each === localName))
    throw new UsageFailure(`use host '${localName}'`, "that is the name of this machine");
  const maxBuilds = values["max-builds"] as number | undefined;
  const output =
    (values["output"] as string | undefined) ??
    (file.output === undefined
      ? join(source, "..", `${name}-results`)
      : resolve(source, expandHome(file.output)));
  return {
    source,
    file,
    // What is said of one host on the command line is meant more than what is said of all.
    hosts: hosts.map((host) =>
      maxBuilds === undefined || (given !== undefined && host.maxBuilds !== undefined)
        ? host
        : { ...host, maxBuilds },
    ),
    output: resolve(output),
  };
}

/** What a command goes by, besides `--config`. */
const allKeys = [
  ...(["hosts", "work-dir", "output", "recipe", "worker-command"] as const),
  ...(["toolchains", "settings"] as const),
];

/**
 * The same, once the user knows what a configuration that comes with the tree names.
 *
 * @param keys that the command goes by.
 * @throws {UsageFailure} also if that is not confirmed.
 */
export async function readTrustedProject(
  values: OptionValues,
  keys: readonly (keyof BossFile)[] = allKeys,
  signal?: AbortSignal,
): Promise<Project> {
  const project = await readProject(values);
  const path = values["config"] === undefined ? foundConfiguration(project.source) : undefined;
  if (path === undefined) return project;
  // What the command line says takes the place of what the file does.
  const used = keys.filter((key) => values[key] === undefined);
  const confirmed = values["trust-config"] === true;
  await confirmTrust({ path, file: project.file }, { used, confirmed, signal });
  return project;
}

/** This machine, as one more worker. */
export function localHost(project: Project, maxBuilds: number | undefined): Host {
  const name = basename(project.source) || "root";
  return {
    name: localName,
    destination: undefined,
    workDirectory: `~/.cache/croft/work/${localName}-${name}`,
    ...withoutUndefined({ maxBuilds }),
  };
}

/**
 * @param say tells of what takes its time.
 * @throws {UsageFailure} if there is nothing to build, or it does not fit together.
 */
export async function makePlan(
  values: OptionValues,
  names: readonly string[],
  signal?: AbortSignal,
  say?: (text: string) => void,
): Promise<Plan> {
  const project = await readTrustedProject(values, allKeys, signal);
  const { file, source } = project;
  const branch = values["branch"] as string | undefined;
  const sandbox = values["override-toolchain"] as string | undefined;
  const toolchains = {
    ...file.toolchains,
    ...(sandbox === undefined ? {} : { [hostArchitecture]: sandbox }),
    ...parseToolchains(values["toolchain"] as string[]),
  };
  const chosen = await chooseCommits(values, source);
  const recipe = (values["recipe"] as string | undefined) ?? file.recipe;
  const workerCommand = (values["worker-command"] as string | undefined) ?? file["worker-command"];
  checkChanges(values, recipe, workerCommand);
  const selection = { names, boards: wordsOf(values, "boards"), exclude: wordsOf(values, "exclude") };
  const query = { source, commit: chosen.tips[0]!, say, signal };
  // Each of these waits for git, which takes as long as all else of a start.
  const [{ targets, counts, notes }, lfs, repository] = await Promise.all([
    selectTargets(selection, file, () => treeBoards(recipe, values, query)),
    lfsNotes(source, chosen.tips),
    repositoryOf(source),
  ]);
  return {
    project,
    ...{ targets, counts },
    ...chosen,
    notes: [...notes, ...chosen.notes, ...lfs],
    repository,
    submodules: values["no-submodules"] !== true,
    toolchains,
    settings: {
      ...(recipe === undefined ? {} : { recipe: workerRecipe(recipe) }),
      ...file.settings,
      ...settingsOf(values),
      ...resultSettings(values),
    },
    workerCommand,
    output: branch === undefined ? project.output : join(project.output, branch.replaceAll("/", "_")),
  };
}

/** What is in Git LFS does not come along: builds that read it would be wrong without a word. */
async function lfsNotes(source: string, [last]: readonly string[]): Promise<string[]> {
  const pointers = await lfsPointersOf(source, last!);
  if (pointers.length === 0) return [];
  return [`Files in Git LFS are only pointers in the builds: ${enumerate(pointers.map(visible))}.`];
}

/** Who does not know of changes of the configuration would build without them, and nobody could tell. */
function checkChanges(values: OptionValues, recipe: BossFile["recipe"], workerCommand: string | undefined) {
  const option = ["fragments", "adjust-cfg"].find((name) => wordsOf(values, name).length > 0);
  const asked = ["keep-outputs", "details"].find((name) => values[name] === true);
  const unknown = option ?? asked ?? (wordsOf(values, "keep").length > 0 ? "keep" : undefined);
  if (workerCommand !== undefined && unknown !== undefined)
    throw new UsageFailure(`build with --${unknown}`, "another worker than croft's does not know it");
  if (option === undefined) return;
  if (recipe !== undefined && recipe !== "u-boot" && recipe !== "linux")
    throw new UsageFailure(`build with --${option}`, "only the recipes u-boot and linux know it");
}

/** What the tree's files say of targets. */
async function treeBoards(recipe: BossFile["recipe"], values: OptionValues, query: BoardsQuery) {
  const file = values["board-list"] as string | undefined;
  if (file !== undefined) return await boardsOfFile(file);
  if (recipe === "linux") return await linuxBoards(query);
  // Without a recipe, workers take that of U-Boot.
  return recipe === "u-boot" || recipe === undefined ? await uBootBoards(query) : undefined;
}

async function chooseCommits(
  values: OptionValues,
  source: string,
): Promise<Pick<Plan, "commits" | "tips" | "currentTree" | "notes">> {
  const range = values["commits"] as string | undefined;
  const count = values["count"] as number | undefined;
  const branch = values["branch"] as string | undefined;
  const uncommitted = values["uncommitted"] === true;
  if (range !== undefined && branch !== undefined)
    throw new UsageFailure("build", "--commits and --branch exclude each other");
  if (range === undefined && count === undefined && branch === undefined) {
    const tip = uncommitted ? await commitWorkTree(source) : await headCommit(source);
    const currentTree = await treeOf(source, tip);
    return { commits: [{ hash: null, subject: "current source" }], tips: [tip], currentTree, notes: [] };
  }
  if (uncommitted)
    throw new UsageFailure("build", "--uncommitted is for the current source, without commits");
  const step = values["step"] as number | undefined;
  const firstParent = values["first-parent"] === true;
  const selection = withoutUndefined({ range, count, branch, step, firstParent });
  const { commits, notes, isOneLine } = await selectCommits(source, selection);
  const hashes = commits.map(({ hash }) => hash!);
  return { commits, notes, tips: isOneLine ? hashes.slice(-1) : await tipsOf(source, hashes) };
}

function parseToolchains(given: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    given.map((text) => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)]),
  );
}

/** The configuration's names for what the protocol says in its own. */
function workerRecipe(recipe: NonNullable<BossFile["recipe"]>): unknown {
  if (typeof recipe === "string") return recipe;
  const { "config-files": config, ...rest } = recipe;
  return { ...rest, ...withoutUndefined({ config }) };
}
