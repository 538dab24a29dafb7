import { present, type Fields } from "./fields.ts";
import type { ParseOptions } from "./parse-options.ts";
import { guessRepositoryType, isLocalUrl, type RepositoryType } from "./repository.ts";
import { formatSections, parseSingle, type Entry } from "./sections.ts";
import {
  argumentList,
  boolean,
  formatArgumentList,
  machineName,
  matching,
  oneOf,
  text,
  token,
  word,
  writtenArgumentList,
} from "./values.ts";

/** What is to be built, where, and how. */
export interface Task {
  /** Package name. */
  name: string;
  /** Package version, compared only for equality; `0` means unknown. */
  version: string;
  /** URL, for git with the fragment `#<branch>@<commit>`. */
  repositoryUrl: string;
  /** Guessed from the URL if the manifest does not say. */
  repositoryType: RepositoryType;
  /** `yes`, `no` or SHA-256 fingerprints of certificates (`AA:BB:…`). */
  trust: string[];
  requires: string[];
  tests: string[];
  examples: string[];
  benchmarks: string[];
  dependencyChecksum?: string;
  machine: string;
  /** Machine names by what follows `auxiliary-machine-`; `""` for the bare name. */
  auxiliaryMachines: Record<string, string>;
  /** Target triplet. */
  target: string;
  /** Name of the environment inside the machine. */
  environment?: string;
  /** By what follows `auxiliary-environment-`; `""` for the bare name. */
  auxiliaryEnvironments: Record<string, string>;
  /** Arguments with their quotes, as {@link writtenArgumentList} has them. */
  targetConfig: string[];
  /** Likewise. */
  packageConfig: string[];
  host?: boolean;
  warningRegex: string[];
  /** What the build has in its environment, by name; of croft's own controllers and workers only (`variable-NAME`). */
  variables?: Record<string, string>;
  /** See {@link splitInteractive}; a task is interactive if this is there at all, even `none`. */
  interactive?: string;
  workerChecksum?: string;
}

const trust = matching(
  /^(?:yes|no|[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){31})$/,
  "'yes', 'no' or a SHA-256 fingerprint",
);
const interactive = matching(/^\S+(?: [^\n]*\S)?$/, "a breakpoint, perhaps followed by a blank and a login,");

/** Reads a task manifest. */
export function readTask(fields: Fields): Task {
  const repositoryUrl = fields.required("repository-url", word);
  const type = fields.optional("repository-type", oneOf("pkg", "dir", "git"));
  return present<Task>({
    name: fields.required("name", word),
    version: fields.required("version", word),
    repositoryUrl,
    repositoryType: type ?? guessRepositoryType(repositoryUrl ?? ""),
    trust: fields.repeated("trust", trust),
    requires: fields.repeated("requires", text),
    tests: fields.repeated("tests", text),
    examples: fields.repeated("examples", text),
    benchmarks: fields.repeated("benchmarks", text),
    dependencyChecksum: fields.optional("dependency-checksum", token),
    machine: fields.required("machine", machineName),
    auxiliaryMachines: fields.record(/^auxiliary-machine(?:-(.+))?$/, machineName),
    target: fields.required("target", word),
    environment: fields.optional("environment", word),
    auxiliaryEnvironments: fields.record(/^auxiliary-environment(?:-(.+))?$/, text),
    targetConfig: fields.optional("target-config", writtenArgumentList) ?? [],
    packageConfig: fields.optional("package-config", writtenArgumentList) ?? [],
    host: fields.optional("host", boolean),
    warningRegex: fields.optional("warning-regex", argumentList) ?? [],
    variables: whatThereIs(fields.record(/^variable-([A-Za-z_][A-Za-z0-9_]*)$/, text)),
    interactive: fields.optional("interactive", interactive),
    workerChecksum: fields.optional("worker-checksum", token),
  });
}

function whatThereIs(values: Record<string, string> | undefined): Record<string, string> | undefined {
  return values && Object.keys(values).length > 0 ? values : undefined;
}

/** @throws {ManifestError} */
export function parseTask(bytes: Uint8Array, options: ParseOptions = {}): Task {
  return parseSingle(bytes, options, "task manifest", readTask);
}

/** @throws {ManifestWriteError} */
export function formatTask(task: Task): Uint8Array {
  return formatSections([taskEntries(task)]);
}

export function taskEntries(task: Task): Entry[] {
  const written = (values: readonly string[]) => (values.length > 0 ? values.join(" ") : undefined);
  return [
    ["name", task.name],
    ["version", task.version],
    ["repository-url", task.repositoryUrl],
    ["repository-type", task.repositoryType],
    ...repeated("trust", task.trust),
    ...repeated("requires", task.requires),
    ...repeated("tests", task.tests),
    ...repeated("examples", task.examples),
    ...repeated("benchmarks", task.benchmarks),
    ["dependency-checksum", task.dependencyChecksum],
    ["machine", task.machine],
    ...tailed("auxiliary-machine", task.auxiliaryMachines),
    ["target", task.target],
    ["environment", task.environment],
    ...tailed("auxiliary-environment", task.auxiliaryEnvironments),
    ["target-config", written(task.targetConfig)],
    ["package-config", written(task.packageConfig)],
    ["host", task.host],
    ["warning-regex", task.warningRegex.length > 0 ? formatArgumentList(task.warningRegex) : undefined],
    ...tailed("variable", task.variables ?? {}),
    ["interactive", task.interactive],
    ["worker-checksum", task.workerChecksum],
  ];
}

function repeated(name: string, values: readonly string[]): Entry[] {
  return values.map((value) => [name, value]);
}

function tailed(name: string, values: Record<string, string>): Entry[] {
  return Object.entries(values).map(([tail, value]) => [tail === "" ? name : `${name}-${tail}`, value]);
}

/** True if the task's repository is on the build host itself, whatever its type. */
export function isLocalRepository(task: Pick<Task, "repositoryUrl">): boolean {
  return isLocalUrl(task.repositoryUrl);
}

/** Where a worker of ours can stand still: before an operation, after what ended badly, or nowhere. */
const breakpoints = ["fetch", "configure", "update", "test", "install", "error", "warning", "none"];

/** What is wrong with a breakpoint, or undefined; what has a dot is a step of another worker. */
export function breakpointProblem(interactive: string): string | undefined {
  const { breakpoint } = splitInteractive(interactive);
  if (breakpoints.includes(breakpoint) || breakpoint.includes(".")) return undefined;
  return `'${breakpoint}' is no breakpoint: there are ${breakpoints.join(", ")}`;
}

/** The breakpoint (an operation, `error`, `warning` or `none`) and the login in a task's `interactive`. */
export function splitInteractive(value: string): { breakpoint: string; login?: string } {
  const blank = value.indexOf(" ");
  if (blank < 0) return { breakpoint: value };
  return { breakpoint: value.slice(0, blank), login: value.slice(blank + 1) };
}
