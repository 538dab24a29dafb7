/** The options of `croft boss`, each declared once. */
import type { OptionDeclaration } from "../os/command-line/options.ts";
import { keepOptions, shownOptions } from "./planning/result-options.ts";
import { settingOptions } from "./planning/settings-options.ts";

const source: OptionDeclaration = {
  name: "source",
  kind: "string",
  value: "DIR",
  default: ".",
  prose: "the source tree, a git repository",
};

/** Of all commands that talk to hosts. */
export const hostOptions: readonly OptionDeclaration[] = [
  {
    name: "config",
    kind: "string",
    value: "FILE",
    prose: "configuration, by default croft.yaml in the source tree",
  },
  {
    name: "trust-config",
    kind: "flag",
    prose: "confirm what the source tree's croft.yaml names to be run, and remember that until it changes",
  },
  source,
  {
    name: "hosts",
    kind: "string",
    value: "HOSTS",
    prose: "hosts to build on, NAME[=[USER@]HOST][:max-builds=N],…, instead of the configured ones",
  },
  {
    name: "work-dir",
    kind: "string",
    value: "DIR",
    prose: "where hosts build, by default ~/.cache/croft/work/PROJECT",
  },
  {
    name: "connect-timeout",
    kind: "integer",
    value: "SECONDS",
    default: 10,
    minimum: 1,
    maximum: 3600,
    prose: "time to connect to a host",
  },
];

const selection: readonly OptionDeclaration[] = [
  {
    name: "boards",
    kind: "string",
    value: "NAMES",
    repeat: true,
    prose: "build the tree's boards of just these names, separated by commas, besides what terms choose",
  },
  {
    name: "exclude",
    kind: "string",
    short: "x",
    value: "TERMS",
    repeat: true,
    prose: "do not build what one of these regular expressions fits, separated by commas",
  },
  {
    name: "board-list",
    kind: "string",
    value: "FILE",
    prose: "the boards, as buildman lists them in boards.cfg, instead of asking the tree",
  },
  { name: "dry-run", kind: "flag", short: "n", prose: "say what would be built, and do nothing" },
  {
    name: "list",
    kind: "flag",
    prose: "list the targets, and which hosts have a compiler for each, and build nothing",
  },
];

const matrix: readonly OptionDeclaration[] = [
  { name: "commits", kind: "string", value: "RANGE", prose: "build these commits, e.g. main..topic" },
  {
    name: "count",
    kind: "integer",
    short: "c",
    value: "N",
    minimum: 1,
    maximum: 100_000,
    prose: "build the last N commits of the branch",
  },
  {
    name: "branch",
    kind: "string",
    short: "b",
    value: "NAME",
    prose: "the branch to build: its last N commits, else those that its upstream does not have; or a range",
  },
  {
    name: "step",
    kind: "integer",
    value: "N",
    minimum: 0,
    maximum: 100_000,
    prose: "build only each N-th of the commits, from the first on; 0: the first and the last",
  },
  { name: "no-submodules", kind: "flag", prose: "leave the directories of submodules empty" },
  { name: "uncommitted", kind: "flag", prose: "build the current source with its uncommitted changes" },
  {
    name: "toolchain",
    kind: "string",
    value: "ARCH=COMPILER",
    repeat: true,
    check: (text) => (/^[\w.-]+=.+$/s.test(text) ? undefined : "expected ARCH=PATH of a compiler"),
    prose: "compiler for an architecture",
  },
  {
    name: "override-toolchain",
    kind: "string",
    short: "O",
    value: "COMPILER",
    prose: "compiler for sandbox, such as clang or clang-19",
  },
  { name: "recipe", kind: "string", value: "NAME", prose: "how a target is built: u-boot, linux or make" },
];

const running: readonly OptionDeclaration[] = [
  { name: "no-local", kind: "flag", prose: "do not build on this machine, too" },
  { name: "local-only", kind: "flag", prose: "build on this machine alone, whatever hosts are configured" },
  {
    name: "load",
    kind: "integer",
    value: "PERCENT",
    minimum: 1,
    maximum: 100_000,
    prose:
      "give no work to hosts whose load is more than so much of their threads, or that are short of memory or disk",
  },
  {
    name: "batch",
    kind: "flag",
    prose: "give each host its share beforehand, in proportion to its capacity",
  },
  {
    name: "build-timeout",
    kind: "integer",
    value: "SECONDS",
    minimum: 5,
    maximum: 7 * 24 * 3600,
    defaultWords: "300; 14400 for one that builds, and does not say so again and again",
    prose: "drop a worker that shows no sign of life for so long",
  },
  {
    name: "max-builds",
    kind: "integer",
    value: "N",
    minimum: 1,
    maximum: 10_000,
    prose: "targets at a time on each host, by default and at most its threads",
  },
  { name: "force", kind: "flag", short: "f", prose: "build again what there is a result for" },
  { name: "force-failures", kind: "flag", short: "F", prose: "build again what has failed" },
  { name: "worker-command", kind: "string", value: "COMMAND", prose: "start another worker on the hosts" },
];

/** Builds on the machines of a controller. */
const farmOptions: readonly OptionDeclaration[] = [
  {
    name: "controller",
    kind: "string",
    value: "URL",
    commandLineOnly: true,
    prose: "build on the machines of this controller, and not on hosts",
  },
  {
    name: "token",
    kind: "string",
    value: "TOKEN",
    commandLineOnly: true,
    prose: "with --controller: shows who is asking (default: $CROFT_TOKEN)",
  },
  {
    name: "repository",
    kind: "string",
    value: "URL",
    commandLineOnly: true,
    prose: "with --controller: where machines fetch the commits (default: where the source was cloned)",
  },
  {
    name: "on",
    kind: "string",
    value: "TARGET",
    commandLineOnly: true,
    prose: "with --controller: which of its targets has the machines (default: the only one)",
  },
];

const listTargets: OptionDeclaration = {
  name: "list-targets",
  kind: "flag",
  short: "l",
  prose: "name in the summary each target that something is new of; of many, messages are told once else",
};

const output: readonly OptionDeclaration[] = [
  {
    name: "output",
    kind: "string",
    short: "o",
    value: "DIR",
    prose: "where results go, by default ../PROJECT-results",
  },
  ...keepOptions,
  listTargets,
  ...shownOptions,
  { name: "werror", kind: "flag", prose: "exit with status 1 if there are warnings" },
  { name: "json", kind: "flag", prose: "print events, one JSON object a line" },
  { name: "verbose", kind: "flag", short: "v", prose: "show what workers print to standard error" },
];

const grouped = (group: string, options: readonly OptionDeclaration[]) =>
  options.map((option) => ({ ...option, group }));

/** Of `croft boss build`. */
export const buildOptions: readonly OptionDeclaration[] = [
  ...grouped("Hosts", hostOptions),
  ...grouped("What is built", [...selection, ...matrix]),
  ...grouped("How it is built", [...settingOptions, ...running]),
  ...grouped("Through a controller", farmOptions),
  ...grouped("Results", output),
];

/** What says which commits. */
const ofCommits = new Set(["commits", "count", "branch", "step", "uncommitted"]);

/** Of `croft boss bisect`. */
export const bisectOptions: readonly OptionDeclaration[] = [
  ...hostOptions,
  ...selection.filter(({ name }) => name !== "dry-run" && name !== "list"),
  ...matrix.filter(({ name }) => !ofCommits.has(name)),
  ...settingOptions,
  ...running.filter(({ name }) => ["no-local", "build-timeout", "worker-command"].includes(name)),
  ...output.filter(({ name }) => name === "output" || name === "verbose"),
];

/** Of `croft boss report`. */
export const reportOptions: readonly OptionDeclaration[] = [
  ...[hostOptions[0]!, source],
  ...matrix.filter(({ name }) => name === "branch"),
  { name: "current", kind: "flag", prose: "show the results of the current source, not those of commits" },
  output[0]!,
  listTargets,
  ...shownOptions,
  {
    name: "html",
    kind: "string",
    value: "FILE",
    prose: "write the matrix as a page that needs nothing else",
  },
];

/** Of `croft boss toolchains`. */
export const toolchainOptions: readonly OptionDeclaration[] = [
  ...hostOptions,
  {
    name: "fetch-toolchains",
    kind: "string",
    value: "ARCHS",
    repeat: true,
    prose:
      "fetch compilers for these architectures, separated by commas, to hosts that have none, from kernel.org",
  },
  {
    name: "toolchain-mirror",
    kind: "string",
    value: "URL",
    check: (text) => (/^https?:\/\//.test(text) ? undefined : "expected an http or https URL"),
    prose: "where they are fetched, laid out as kernel.org's",
  },
  { name: "json", kind: "flag", prose: "print JSON" },
];
