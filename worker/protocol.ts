/**
 * The messages between a boss and its remote workers.
 *
 * A boss writes commands on the worker's standard input, one JSON object a line; the worker answers on its standard
 * output with lines `BM> ` + JSON object. Other lines there are noise (banners, programs that print) and ignored.
 * The format is that of U-Boot's buildman: its boss can drive croft's worker, and croft's boss its worker. What is
 * croft's own is optional and marked as an extension.
 *
 * Reading is lenient where peers may be newer: unknown fields are passed over, unknown messages are told apart from
 * wrong ones. In a command, a field that is missing or of the wrong type makes the message invalid, with the reason in
 * words. In a response, what names a result must be right; every other field has a default.
 */
import { Fields } from "./fields.ts";

/** What each line of a worker begins with. */
const responsePrefix = "BM> ";

/** `[null]`: the current source, as it lies in the work directory; otherwise commits, as hashes or names. */
export type Commits = readonly string[] | readonly [null];

/** Something to build: a board of U-Boot, a configuration of Linux, a target of any other project. */
export interface Target {
  board: string;
  /** Decides on the toolchain; `sandbox`, or none, is built with the worker's own compiler. */
  arch?: string;
  /** Extension: build only these of the prepared commits, as indices; without it, all. */
  commits?: readonly number[];
}

/** How a target is built at a commit, as shell commands; worker/remote/recipes.ts explains the placeholders. */
export interface Recipe {
  /** Run when a target is begun and whenever its configuration may have changed; none if there is nothing to do. */
  configure?: string;
  build: string;
  /** What a build that ends with status 2 may say on standard error and yet count as built, with warnings. */
  tolerates?: string;
  /** Prints the sizes of what was built, as size(1) does. */
  sizes?: string;
  /** Files, relative to the output directory, that come with the result of a failed build. */
  config?: readonly string[];
  /** Programs, relative to the output directory, whose functions and sections are told. */
  images?: readonly string[];
  /** Writes what U-Boot has for environment to the file `uboot.env` of the output directory. */
  environment?: string;
  /** Patterns, relative to the output directory, of what `keep_outputs` keeps. */
  outputs?: readonly string[];
  /** Git pathspecs: configure again only where a commit changes one of these; without it, at each commit. */
  reconfigure?: readonly string[];
}

/** What comes along with the result of a build, if it is asked for. */
export type Detail = "config" | "environment" | "functions";

export const details: readonly Detail[] = ["config", "environment", "functions"];

/** What `configure` carries: buildman's switches, and croft's extensions. Anything else passes unread. */
export interface Settings extends Readonly<Record<string, unknown>> {
  verbose_build?: boolean;
  allow_missing?: boolean;
  no_lto?: boolean;
  reproducible_builds?: boolean;
  warnings_as_errors?: boolean;
  mrproper?: boolean;
  fallback_mrproper?: boolean;
  config_only?: boolean;
  force_build?: boolean;
  kconfig_check?: boolean;
  force_reconfig?: boolean;
  lines?: boolean;
  /** Extension: the name of a built-in recipe (`u-boot`, `linux`, `make`) or one in full; default `u-boot`. */
  recipe?: string | Recipe;
  /** Extension: files that are merged into the configuration, by the recipes for U-Boot and Linux. */
  fragments?: readonly string[];
  /** Extension: changes of the configuration, of the same recipes: `NAME`, `~NAME` or `NAME=VALUE`. */
  adjust_cfg?: readonly string[];
  /** Extension: what comes along, in `config`, with results of successful builds, too. */
  details?: readonly Detail[];
  /** Extension: patterns, relative to the output directory, of files that come along as `build_output`. */
  keep?: readonly string[];
  /** Extension: the same with the patterns of the recipe. */
  keep_outputs?: boolean;
  /** Extension: jobs of each build, instead of a share of the worker's threads. */
  jobs?: number;
  /** Extension: how long a target may take at one commit, in seconds. */
  build_timeout?: number;
  /** Extension: how often a target that is being built is told to be so, in seconds. */
  heartbeat?: number;
}

/** Boss to worker. */
export type Command =
  | { cmd: "setup"; work_dir?: string }
  | { cmd: "configure"; settings: Settings; toolchains: Readonly<Record<string, string>> }
  | { cmd: "build_boards"; boards: readonly Target[]; commits: Commits }
  | { cmd: "build_prepare"; commits: Commits; max_boards?: number }
  | ({ cmd: "build_board" } & Target)
  | { cmd: "build_done" }
  | { cmd: "quit" };

/** A target built at a commit. */
export interface BuildResult {
  resp: "build_result";
  board: string;
  /** Index into the prepared commits. */
  commit_upto: number;
  /** See {@link returnCodes}. */
  return_code: number;
  stderr: string;
  stdout: string;
  /** Load average of the last minute on the worker's host. */
  load_avg: number;
  /** With return code 0 only: the lines of size(1) without their heading. */
  sizes?: { raw: string };
  /** With failures, or what `details` asks for: file name to content. */
  config?: Readonly<Record<string, string>>;
  /** Extension: the files that came before it. */
  outputs?: readonly BuildOutput[];
}

/** A file that a build has made, and that was sent in pieces. */
export interface BuildOutput {
  name: string;
  /** In bytes. */
  size: number;
  /** Hexadecimal. */
  sha256: string;
}

/** Extension: a piece of a file of a build whose result is still to come; the pieces come in order. */
export interface BuildOutputPiece {
  resp: "build_output";
  board: string;
  commit_upto: number;
  name: string;
  /** In base64. */
  data: string;
}

/** Worker to boss. */
export type Response =
  | { resp: "ready"; nthreads: number; slots: number }
  | { resp: "setup_done"; work_dir: string; git_dir: string }
  | { resp: "configure_done" }
  | { resp: "build_started"; num_threads: number }
  | { resp: "worktree_created"; thread: number }
  | { resp: "build_prepare_done" }
  | { resp: "heartbeat"; board: string; thread: number }
  | BuildResult
  | BuildOutputPiece
  | { resp: "build_done"; exceptions: number }
  | { resp: "quit_ack" }
  | { resp: "error"; msg: string };

/** What `return_code` says; any other but 0 is a failure, too. */
export const returnCodes = { built: 0, failed: 2, noToolchain: 10 } as const;

/** A line that was read: a message; one of a name that is not known here; or one that is wrong, and why. */
export type Parsed<Message> =
  | { kind: "message"; message: Message }
  | { kind: "unknown"; name: string }
  | { kind: "invalid"; reason: string };

/** A line of a boss, without its newline; an empty one is nothing. */
export function parseCommand(line: string): Parsed<Command> | { kind: "nothing" } {
  if (line.trim() === "") return { kind: "nothing" };
  return parseMessage(line, "cmd", commandFields) as Parsed<Command>;
}

/** A line of a worker's standard output, without its newline; one without the prefix is noise. */
export function parseResponse(line: string): Parsed<Response> | { kind: "noise" } {
  if (!line.startsWith(responsePrefix)) return { kind: "noise" };
  return parseMessage(line.slice(responsePrefix.length), "resp", responseFields) as Parsed<Response>;
}

/** A command as the line that is sent, with its newline. */
export function formatCommand(command: Command): string {
  return `${JSON.stringify(command)}\n`;
}

/** A response as the line that is sent, with prefix and newline. */
export function formatResponse(response: Response): string {
  return `${responsePrefix}${JSON.stringify(response)}\n`;
}

/** Picks the fields of a message, by its name. */
type Schema = Record<string, (fields: Fields) => Fields>;

function parseMessage(text: string, key: "cmd" | "resp", schema: Schema): Parsed<unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { kind: "invalid", reason: `invalid JSON: ${(error as Error).message}` };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { kind: "invalid", reason: "invalid JSON: this is no object" };
  const object = value as Record<string, unknown>;
  const name = typeof object[key] === "string" ? object[key] : "";
  const read = Object.hasOwn(schema, name) ? schema[name] : undefined;
  if (!read) return { kind: "unknown", name };
  const { picked, problem } = read(new Fields(name, object).pick(key, name));
  return problem === undefined ? { kind: "message", message: picked } : { kind: "invalid", reason: problem };
}

const commandFields: Schema = {
  setup: (fields) => fields.optional("work_dir", "string"),
  configure: (fields) =>
    fields.pick("settings", readSettings(fields)).pick("toolchains", fields.texts("toolchains") ?? {}),
  build_boards: (fields) => fields.pick("boards", readTargets(fields)).pick("commits", readCommits(fields)),
  build_prepare: (fields) => fields.pick("commits", readCommits(fields)).optional("max_boards", "count"),
  build_board: readTarget,
  build_done: (fields) => fields,
  quit: (fields) => fields,
};

const responseFields: Schema = {
  ready: (fields) => fields.lenient("nthreads", "count", 1).lenient("slots", "count", 1),
  setup_done: (fields) => fields.lenient("work_dir", "string", "").lenient("git_dir", "string", ""),
  configure_done: (fields) => fields,
  build_started: (fields) => fields.lenient("num_threads", "count", 0),
  worktree_created: (fields) => fields.lenient("thread", "count", 0),
  build_prepare_done: (fields) => fields,
  heartbeat: (fields) => fields.lenient("board", "string", "").lenient("thread", "count", 0),
  build_result: readResult,
  build_output: (fields) =>
    fields
      .required("board", "string")
      .required("commit_upto", "count")
      .required("name", "string")
      .required("data", "string"),
  build_done: (fields) => fields.lenient("exceptions", "count", 0),
  quit_ack: (fields) => fields,
  error: (fields) => fields.lenient("msg", "string", "unknown error"),
};

function readResult(fields: Fields): Fields {
  return fields
    .required("board", "string")
    .required("commit_upto", "count")
    .required("return_code", "integer")
    .lenient("stderr", "string", "")
    .lenient("stdout", "string", "")
    .lenient("load_avg", "number", 0)
    .pick("sizes", readSizes(fields))
    .pick("config", readConfig(fields))
    .pick("outputs", readOutputs(fields));
}

/** Others have them in other forms, or none. */
function readSizes(fields: Fields): { raw: string } | undefined {
  const sizes = fields.value("sizes") as { raw?: unknown } | undefined;
  return typeof sizes?.raw === "string" ? { raw: sizes.raw } : undefined;
}

function readConfig(fields: Fields): Record<string, string> | undefined {
  const config = fields.value("config");
  if (typeof config !== "object" || Array.isArray(config)) return undefined;
  const texts = Object.entries(config as object).filter(([, text]) => typeof text === "string");
  return texts.length > 0 ? (Object.fromEntries(texts) as Record<string, string>) : undefined;
}

/** Those that are none are passed over: what nothing is known of is not kept. */
function readOutputs(fields: Fields): BuildOutput[] | undefined {
  const outputs = fields.value("outputs");
  if (!Array.isArray(outputs)) return undefined;
  return (outputs as Partial<BuildOutput>[]).flatMap((each) => {
    const { name, size, sha256 } = each ?? {};
    const fits = typeof name === "string" && Number.isSafeInteger(size) && typeof sha256 === "string";
    return fits ? [{ name, size: size!, sha256 }] : [];
  });
}

function readTarget(fields: Fields): Fields {
  return fields
    .required("board", "name")
    .optional("arch", "string")
    .pick("commits", fields.list("commits", "count"));
}

function readTargets(fields: Fields): unknown[] {
  const targets = fields.objects("boards") ?? [];
  if (targets.length === 0) fields.complain("no boards specified");
  return targets.map((target) => readTarget(target).picked);
}

function readCommits(fields: Fields): unknown {
  const value = fields.value("commits");
  if (Array.isArray(value) && value.length === 1 && value[0] === null) return [null]; // the current source
  const commits = fields.list("commits", "name");
  if (value === undefined) fields.complain(`${fields.name}: commits is missing`);
  else if (commits?.length === 0) fields.complain(`${fields.name}: commits is empty`);
  return commits;
}

const switches = [
  ...["verbose_build", "allow_missing", "no_lto", "reproducible_builds", "warnings_as_errors", "mrproper"],
  ...["fallback_mrproper", "config_only", "force_build", "kconfig_check", "force_reconfig", "lines"],
  "keep_outputs",
];

function readSettings(fields: Fields): Record<string, unknown> {
  const settings = fields.inner("settings");
  if (!settings) return {};
  for (const name of switches) settings.optional(name, "boolean");
  settings.list("fragments", "name");
  settings.list("adjust_cfg", "name");
  settings.list("details", "name");
  settings.list("keep", "name");
  settings.optional("jobs", "positive");
  settings.optional("build_timeout", "positive");
  settings.optional("heartbeat", "positive");
  if (typeof settings.value("recipe") === "object") {
    const recipe = settings.inner("recipe");
    recipe?.optional("configure", "string");
    recipe?.required("build", "string");
    recipe?.optional("tolerates", "string");
    recipe?.optional("sizes", "string");
    recipe?.list("config", "string");
    recipe?.list("reconfigure", "string");
    recipe?.list("images", "name");
    recipe?.optional("environment", "string");
    recipe?.list("outputs", "name");
  } else settings.optional("recipe", "string");
  return settings.withoutNulls();
}
