/** Which targets are built: as they are named, and as terms choose them from the boards that the tree has. */
import { UsageFailure } from "../../os/failure.ts";
import { checkTargetName, hostArchitecture, type Target } from "../matrix/matrix.ts";
import { selectBoards, type Board } from "./board-list.ts";
import type { BossFile } from "./boss-file.ts";

/** What the command line says of targets. */
export interface TargetSelection {
  /** Configured names, `NAME:ARCH`, and, where the tree has boards, terms. */
  names: readonly string[];
  /** Just these boards. */
  boards: readonly string[];
  exclude: readonly string[];
}

/** Targets, and what is to be said of the choice. */
export interface ChosenTargets {
  targets: Target[];
  notes: string[];
  /** How many boards each term has brought. */
  counts: Map<string, number>;
}

/** `NAME:ARCH`; a configuration of Linux, as `arm64:defconfig`, has a colon, too. */
const looksExact = /[^:]:(?![\w.-]*defconfig$)[\w.-]*$/;

type Configured = NonNullable<BossFile["targets"]>;

/**
 * Finds the targets; all that are configured, where none are named.
 *
 * @param boardsOf the tree's boards; called only if they are needed; undefined: it has no list of them.
 * @throws {UsageFailure} if there are none, or something is no name of one.
 */
export async function selectTargets(
  selection: TargetSelection,
  file: BossFile,
  boardsOf: () => Promise<readonly Board[] | undefined>,
): Promise<ChosenTargets> {
  const configured = file.targets ?? {};
  const { names, boards, exclude } = selection;
  const all = names.length + boards.length > 0 ? names : Object.keys(configured);
  const isExact = (text: string) => Object.hasOwn(configured, text) || looksExact.test(text);
  const isKnown = (text: string) => parseTarget(text, configured).arch !== undefined || isHosts(text);
  const chooses = boards.length > 0 || (all.length === 0 && exclude.length > 0);
  const list = chooses || !all.every((text) => isExact(text) && isKnown(text)) ? await boardsOf() : undefined;
  if (list === undefined) return withoutList([...names, ...boards], exclude, file);

  const inTree = new Map(list.map((board) => [board.target, board]));
  // `arm64:defconfig` is a board's name, and not one for an architecture called defconfig.
  const exact = all.filter((text) => isExact(text) && (Object.hasOwn(configured, text) || !inTree.has(text)));
  const terms = all.filter((text) => !exact.includes(text));
  const none = { boards: [], counts: new Map<string, number>() };
  const selected = chooses || terms.length > 0 ? selectBoards(list, { terms, boards, exclude }) : none;
  const own = exact.length === 0 ? [] : chooseTargets(exact, file, (name) => inTree.get(name)?.arch);
  const targets = new Map(without(exclude, own, inTree).map((target) => [target.name, target]));
  for (const { target, arch } of selected.boards)
    if (!targets.has(target)) targets.set(target, { name: target, arch });
  if (targets.size === 0) throw new UsageFailure("build", "nothing that the tree has is chosen");
  const unknown = exact.filter((text) => !inTree.has(parseTarget(text, configured).name));
  const idle = [...selected.counts].filter(([, count]) => count === 0).map(([term]) => term);
  const notes = [
    ...(unknown.length > 0 ? architectureNotes(unknown, file) : []),
    ...(idle.length > 0 ? [`Nothing (more) is chosen by ${enumerate(idle)}.`] : []),
  ];
  return { targets: [...targets.values()], notes, counts: selected.counts };
}

function withoutList(names: readonly string[], exclude: readonly string[], file: BossFile): ChosenTargets {
  const targets = without(exclude, chooseTargets(names, file));
  if (targets.length === 0) throw new UsageFailure("build", "all targets are excluded");
  return { targets, notes: architectureNotes(names, file), counts: new Map() };
}

function without(
  exclude: readonly string[],
  targets: readonly Target[],
  inTree?: ReadonlyMap<string, Board>,
) {
  const boards = targets.map(
    ({ name, arch }) => inTree?.get(name) ?? { target: name, arch, properties: [name, arch] },
  );
  const kept = new Set(
    selectBoards(boards, { terms: [], boards: [], exclude }).boards.map(({ target }) => target),
  );
  return targets.filter(({ name }) => kept.has(name));
}

/** What a text says of a target: its configured name, or `NAME[:ARCH]`. */
function parseTarget(text: string, configured: Configured) {
  const colon = Object.hasOwn(configured, text) ? -1 : text.lastIndexOf(":");
  if (colon >= 0) return { name: text.slice(0, colon), arch: text.slice(colon + 1) };
  return { name: text, arch: Object.hasOwn(configured, text) ? configured[text]?.arch : undefined };
}

/**
 * Targets by their configured names or `NAME[:ARCH]`; without any, all of the configuration.
 *
 * @param architectureOf what the tree says of a target that has none so far.
 */
export function chooseTargets(
  names: readonly string[],
  file: BossFile,
  architectureOf: (name: string) => string | undefined = () => undefined,
): Target[] {
  const configured = file.targets ?? {};
  const all = names.length > 0 ? names : Object.keys(configured);
  const targets = new Map<string, Target>();
  for (const text of all) {
    const parsed = parseTarget(text, configured);
    const { name, arch = architectureOf(name) ?? hostArchitecture } = parsed;
    const other = targets.get(name);
    const wrong =
      checkTargetName(name) ??
      (arch === "" ? "expected an architecture after the colon" : undefined) ??
      (other && other.arch !== arch ? `it is named for ${other.arch}, too` : undefined);
    if (wrong !== undefined) throw new UsageFailure(`build target '${text}'`, wrong);
    targets.set(name, { name, arch });
  }
  if (targets.size === 0)
    throw new UsageFailure("build", "there are no targets", {
      hints: [
        "Name some: croft boss build TARGET[:ARCH]… ('.*' is all boards of a U-Boot tree).",
        "Or list them under `targets:` in croft.yaml.",
      ],
    });
  return [...targets.values()];
}

/** What has to be said of targets that the hosts' own compiler is used for because nobody knows better. */
export function architectureNotes(names: readonly string[], { targets = {} }: BossFile): string[] {
  const all = (names.length > 0 ? names : Object.keys(targets)).map((text) => parseTarget(text, targets));
  const unknown = all.flatMap(({ name, arch }) => (arch === undefined && !isHosts(name) ? [name] : []));
  if (unknown.length === 0) return [];
  return [
    `The architecture of ${enumerate(unknown)} is not known: built with the host's own compiler (NAME:ARCH names one; NAME:${hostArchitecture} is the host's).`,
  ];
}

function isHosts(name: string): boolean {
  return name.startsWith(hostArchitecture);
}

const namesShown = 10;

/** Names in quotes, the first ones of many. */
export function enumerate(names: readonly string[]): string {
  const more = names.length > namesShown ? [`${names.length - namesShown} more`] : [];
  return [...names.slice(0, namesShown).map((name) => `'${name}'`), ...more].join(", ");
}
