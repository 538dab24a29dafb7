/** What is known of the machines of a host, for people: without locks, and without touching anything. */
import { lstatSync, readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { Failure, assertFailure } from "../../os/failure.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { BootstrappedMachine } from "../../manifests/bootstrapped-machine.ts";
import { isAuxiliaryName, type Machine } from "../../manifests/machine.ts";
import { copiesWithLocks } from "../copies.ts";
import {
  copyPaths,
  currentRevision,
  listMachines,
  machinePaths,
  manifestPath,
  revisionPath,
  type MachinePaths,
} from "../layout.ts";
import { peekHolder, type Holder } from "../locks.ts";
import { readBootstrappedManifest, readMachineManifest } from "../manifest-files.ts";
import { classifyEntry } from "../names.ts";
import { listRevisions } from "../revisions.ts";
import { findState, refusalOf, stateSize } from "../warm/state.ts";
import type { HeldMachine } from "./operator-commands.ts";

/** `outdated`: from another revision than the current one. */
type BootstrapState = "yes" | "no" | "outdated" | "unusable";

/** A saved state and the space that it takes; or why there is none. An agent with other options may find it unfit. */
export type Warmth = { bytes: number } | { reason: string };

/** A line of `croft machine list`. */
export interface MachineSummary {
  name: string;
  volume: string;
  /** Name of the current revision. */
  current?: string;
  id?: string;
  summary?: string;
  /** Of a machine that serves the builds of others. */
  role?: "auxiliary";
  /** Why the machine cannot be used. */
  problem?: string;
  bootstrapped: BootstrapState;
  /** Whether there is a saved state that tasks may begin from; told of a bootstrapped machine. */
  warm?: Warmth;
  /** Who holds its first copy. */
  holder?: Holder;
  /** The copies that are in use, if others than the first are. */
  copies?: (Holder & { copy: number })[];
  /** Its holder holds it for the operator. */
  held?: HeldMachine;
}

/** One tree of a machine. */
export interface TreeReport<Manifest> {
  name: string;
  /** Space taken on the disk, in bytes; what is shared with other trees counts in each. */
  bytes: number;
  manifest?: Manifest;
  problem?: string;
}

/** What `croft machine show` shows. */
export interface MachineReport {
  name: string;
  volume: string;
  directory: string;
  current?: string;
  /** Text of the current revision's manifest. */
  manifestText?: string;
  revisions: TreeReport<Machine>[];
  bootstrapped: (TreeReport<BootstrappedMachine> & { toolchain: string; warm: Warmth } & Pick<
      MachineSummary,
      "holder" | "copies"
    >)[];
  /** Snapshots of running instances, or left by crashed ones; unfinished revisions and removals. */
  temporary: TreeReport<never>[];
}

/** Summarises the machines for a toolchain; `held` are those that agents hold for the operator. */
export function summarizeMachines(
  machines: string,
  toolchain: string,
  held: readonly HeldMachine[] = [],
): MachineSummary[] {
  return listMachines(machines, toolchain)
    .filter(isMachine)
    .map((paths) => {
      const summary = summarize(paths);
      const note = held.find(
        ({ machine, toolchain: of, pid }) =>
          machine === paths.name &&
          of === toolchain &&
          holdersOf(summary).some((holder) => holder.pid === pid),
      );
      return note ? { ...summary, held: note } : summary;
    });
}

/** A directory such as `lost+found` is no machine that somebody forgot to publish. */
function isMachine(paths: MachinePaths): boolean {
  const link = lstatSync(paths.current, { throwIfNoEntry: false });
  return link !== undefined || listRevisions(paths).length > 0;
}

function summarize(paths: MachinePaths): MachineSummary {
  const result: MachineSummary = { name: paths.name, volume: paths.volume, bootstrapped: "no" };
  const attempt = attempting(result);
  const current = attempt(() => currentRevision(paths));
  if (current === undefined) result.problem ??= "no revision is published";
  else {
    result.current = basename(current);
    const manifest = attempt(() => readMachineManifest(paths, current));
    if (manifest) Object.assign(result, { id: manifest.id, summary: manifest.summary });
    else result.problem ??= `there is no '${manifestPath(current)}'`;
    if (manifest?.role === "auxiliary") {
      result.role = "auxiliary";
      if (!isAuxiliaryName(paths.name))
        result.problem ??= "the name of an auxiliary machine has a dash: it is offered to nobody";
    }
  }
  result.bootstrapped = bootstrapState(paths, result.id);
  if (result.bootstrapped === "yes") result.warm = warmthOf(paths);
  const holder = attempt(() => peekHolder(paths.lock));
  if (holder) result.holder = holder;
  const copies = attempt(() => copiesInUse(paths)) ?? [];
  if (copies.some(({ copy }) => copy > 1)) result.copies = copies;
  return result;
}

function copiesInUse(paths: MachinePaths): (Holder & { copy: number })[] {
  return copiesWithLocks(paths).flatMap((copy) => {
    const holder = peekHolder(copyPaths(paths, copy).lock);
    return holder ? [{ copy, ...holder }] : [];
  });
}

/** Who holds a machine, or copies of it. */
export function holdersOf({ holder, copies }: Pick<MachineSummary, "holder" | "copies">): Holder[] {
  return copies ?? (holder ? [holder] : []);
}

function warmthOf(paths: MachinePaths): Warmth {
  const refusal = refusalOf(paths);
  if (refusal !== undefined) return { reason: refusal };
  const found = findState(paths);
  return "state" in found ? { bytes: stateSize(paths) ?? 0 } : { reason: found.reason };
}

function bootstrapState(paths: MachinePaths, id: string | undefined): BootstrapState {
  try {
    const bootstrapped = readBootstrappedManifest(paths);
    if (!bootstrapped) return "no";
    return bootstrapped.machine.id === id ? "yes" : "outdated";
  } catch (error) {
    if (error instanceof Failure) return "unusable";
    throw error;
  }
}

/** Looks at all there is of one machine, for one toolchain or for all. */
export function reportMachine(paths: MachinePaths, toolchain?: string): MachineReport {
  const current = currentRevision(paths);
  const report: MachineReport = {
    name: paths.name,
    volume: paths.volume,
    directory: paths.directory,
    ...(current === undefined ? {} : { current: basename(current) }),
    revisions: listRevisions(paths).map((revision) => {
      const path = revisionPath(paths, revision);
      return reportTree(path, () => readMachineManifest(paths, path));
    }),
    bootstrapped: [],
    temporary: [],
  };
  const text = current === undefined ? undefined : readText(manifestPath(current));
  if (text !== undefined) report.manifestText = text;
  for (const name of readdirSync(paths.directory).sort()) addEntry(report, paths, name, toolchain);
  return report;
}

function addEntry(report: MachineReport, paths: MachinePaths, name: string, toolchain?: string): void {
  const entry = classifyEntry(paths.name, name);
  const path = join(paths.directory, name);
  const hidden = name.startsWith(".") && lstatSync(path, { throwIfNoEntry: false })?.isDirectory();
  if (entry?.kind === "temporary" || hidden) report.temporary.push(reportTree<never>(path, () => undefined));
  if (entry?.kind !== "bootstrapped" || (toolchain !== undefined && entry.toolchain !== toolchain)) return;
  const own = machinePathsOf(paths, entry.toolchain);
  const holder = peekHolder(own.lock);
  const inUse = copiesInUse(own);
  const copies = inUse.some(({ copy }) => copy > 1) ? inUse : undefined;
  report.bootstrapped.push({
    toolchain: entry.toolchain,
    ...reportTree(path, () => readBootstrappedManifest(own)),
    warm: warmthOf(own),
    ...withoutUndefined({ holder, copies }),
  });
}

function machinePathsOf({ directory, volume, name }: MachinePaths, toolchain: string): MachinePaths {
  return machinePaths(join(directory, "..", ".."), volume, name, toolchain);
}

function reportTree<T>(path: string, read: () => T | undefined): TreeReport<T> {
  const report: TreeReport<T> = { name: basename(path), bytes: sizeOf(path) };
  const manifest = attempting(report)(read);
  if (manifest) report.manifest = manifest;
  return report;
}

/** Runs something; a failure becomes the `problem` of the report. */
function attempting(report: { problem?: string }) {
  return <T>(action: () => T): T | undefined => {
    try {
      return action();
    } catch (error) {
      assertFailure(error);
      report.problem ??= error.message;
      return undefined;
    }
  };
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Bytes that a tree takes on the disk; what disappears meanwhile counts for nothing. */
function sizeOf(path: string): number {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return 0;
  const own = found.blocks * 512;
  if (!found.isDirectory()) return own;
  let names: string[] = [];
  try {
    names = readdirSync(path);
  } catch {
    // removed meanwhile, or not ours to read
  }
  return names.reduce((sum, name) => sum + sizeOf(join(path, name)), own);
}
