/** `croft submit`. */
import { stat } from "node:fs/promises";
import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { UsageFailure } from "../../os/failure.ts";
import { givenValues, type OptionDeclaration, type OptionValues } from "../../os/command-line/options.ts";
import { isLocalUrl, packageNameFrom } from "../../manifests/repository.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { addClientOptions, connectionOf, type BuildAnswer, type Connection } from "./connection.ts";
import { printLog, statusOf, waitForBuild } from "./watch.ts";

/** The options of `croft submit`. */
export const submitOptions: readonly OptionDeclaration[] = [
  { name: "repository", kind: "string", value: "URL", prose: "the same as URL" },
  { name: "branch", kind: "string", value: "NAME", prose: "this branch or tag of a git repository" },
  {
    name: "commit",
    kind: "string",
    value: "ID",
    check: checkCommit,
    prose: "this commit of a git repository; with --branch, of that branch",
  },
  { name: "name", kind: "string", value: "NAME", prose: "the package's name (default: from the URL)" },
  { name: "version", kind: "string", value: "VERSION", prose: "its version (default: 0, unknown)" },
  {
    name: "type",
    kind: "choice",
    choices: ["git", "pkg"],
    prose: "a git repository, or an archive (default: guessed from the URL)",
  },
  {
    name: "target",
    kind: "string",
    value: "TARGET",
    repeat: true,
    prose: "for these targets, patterns with * (default: all)",
  },
  { name: "machine", kind: "string", value: "PATTERN", prose: "on machines of such a name only" },
  {
    name: "auxiliary",
    kind: "string",
    value: "NAME=PATTERN",
    repeat: true,
    check: checkAuxiliary,
    prose: "with an auxiliary machine of such a name, which the build calls NAME: it gets variables NAME_…",
  },
  {
    name: "priority",
    kind: "string",
    value: "N",
    check: checkPriority,
    prose: "higher goes first, from -10000 to 10000 (default: 0)",
  },
  { name: "environment", kind: "string", value: "NAME", prose: "environment inside of the machine" },
  { name: "config", kind: "string", value: "ARGUMENTS", prose: "arguments for the package's configuration" },
  {
    name: "env",
    kind: "string",
    value: "NAME=VALUE",
    repeat: true,
    check: checkVariable,
    prose: "give the build this variable, which anybody may read",
  },
  {
    name: "depth",
    kind: "string",
    value: "N",
    check: checkDepth,
    prose: "fetch N commits of the history and their tags, 0 for all (default: the commit built)",
  },
  {
    name: "secret",
    kind: "string",
    value: "NAME",
    repeat: true,
    prose: "give the build this secret as a variable; takes a token of the role trusted",
  },
  {
    name: "interactive",
    kind: "string",
    value: "BREAKPOINT",
    prose: "stand still there for a person: before an operation, or after an error or warning; or none",
  },
  { name: "force", kind: "flag", prose: "build it, also if nothing has changed since its last success" },
  { name: "json", kind: "flag", prose: "print the controller's answer" },
  { name: "wait", kind: "flag", prose: "wait for the end; exit status 3 if a build fails" },
  { name: "follow", kind: "flag", prose: "as --wait, and print the log as it grows" },
];

function checkCommit(text: string): string | undefined {
  return /^[0-9a-f]{4,64}$/i.test(text) ? undefined : "expected 4 to 64 hexadecimal digits";
}

function checkAuxiliary(text: string): string | undefined {
  return /^[a-z][a-z0-9_-]{0,49}=.+$/.test(text)
    ? undefined
    : "expected NAME=PATTERN, with a name of lower-case letters, digits, _ and -";
}

function checkVariable(text: string): string | undefined {
  return /^[A-Za-z_][A-Za-z0-9_]{0,99}=/.test(text)
    ? undefined
    : "expected NAME=VALUE, with a name of letters, digits and _";
}

function checkPriority(text: string): string | undefined {
  return /^-?\d{1,5}$/.test(text) && Math.abs(Number(text)) <= 10_000
    ? undefined
    : "expected a whole number from -10000 to 10000";
}

function checkDepth(text: string): string | undefined {
  return /^\d{1,6}$/.test(text) ? undefined : "expected a whole number from 0 to 999999";
}

/** The command, for the table of commands. */
export function submitCommand(): Command {
  const command = makeCommand("croft submit", "queue a build for each target").argument(
    "[URL]",
    "what to build: a git repository, perhaps with #BRANCH, an archive, or a directory of this host as it is, such as .",
  );
  return addClientOptions(command, submitOptions).action(async (url?: string) => {
    const values = givenValues(command, submitOptions);
    const connection = connectionOf(command);
    if (values["json"] === true && values["follow"] === true)
      throw new UsageFailure("submit", "--json prints nothing else, and --follow a log");
    const answer = await submit(connection, url, values);
    const { builds } = answer;
    process.stdout.write(
      values["json"] === true
        ? `${JSON.stringify(answer, undefined, 2)}\n`
        : builds.map(({ id, url, name, target }) => `build ${id}, ${name} for ${target}: ${url}\n`).join(""),
    );
    if (values["follow"] !== true && values["wait"] !== true) return;
    const ended: BuildAnswer[] = [];
    for (const { id } of builds)
      ended.push(values["follow"] ? await printLog(connection, id) : await waitForBuild(connection, id));
    process.exitCode = statusOf(ended);
  });
}

async function submit(
  connection: Connection,
  url: string | undefined,
  values: OptionValues,
): Promise<{ builds: BuildAnswer[] }> {
  if (url !== undefined && (await isDirectory(url))) {
    for (const name of ["repository", "branch", "commit", "type", "depth"])
      if (values[name] !== undefined)
        throw new UsageFailure(
          "submit",
          `'${url}' is a directory, which is built as it is: leave out --${name}`,
        );
    const { submitTree } = await import("./tree/submit.ts");
    return await submitTree(connection, url, { ...picked(values, "name"), ...wishesOf(values) });
  }
  const repository = repositoryOf(url, values);
  return await connection.post("/api/v1/builds", {
    ...{ repository, name: values["name"] ?? nameFrom(repository) },
    ...picked(values, "type"),
    ...(values["depth"] === undefined ? {} : { depth: Number(values["depth"]) }),
    ...wishesOf(values),
  });
}

/** Whether something of this host is meant, and not a URL. */
async function isDirectory(text: string): Promise<boolean> {
  if (!isLocalUrl(text) || /^file:/i.test(text)) return false;
  return await stat(text).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** How it is to be built, wherever it is from. */
function wishesOf(values: OptionValues): Record<string, unknown> {
  return {
    ...picked(values, "version", "machine", "environment", "config", "interactive"),
    ...withoutUndefined({
      targets: values["target"],
      auxiliary: pairsOf("auxiliary machines", values["auxiliary"]),
    }),
    ...withoutUndefined({ variables: pairsOf("variables", values["env"]) }),
    ...withoutUndefined({ secrets: values["secret"], force: values["force"] }),
    ...(values["priority"] === undefined ? {} : { priority: Number(values["priority"]) }),
  };
}

/** What is given as NAME=VALUE. @throws {UsageFailure} for two of one name. */
function pairsOf(what: string, given: OptionValues[string]): Record<string, string> | undefined {
  if (!Array.isArray(given)) return undefined;
  const pairs: Record<string, string> = {};
  for (const text of given) {
    const name = text.slice(0, text.indexOf("="));
    if (Object.hasOwn(pairs, name)) throw new UsageFailure("submit", `there are two ${what} '${name}'`);
    pairs[name] = text.slice(name.length + 1);
  }
  return pairs;
}

/** The URL with the branch and commit as its fragment: `#BRANCH`, `#COMMIT` or `#BRANCH@COMMIT`. */
function repositoryOf(url: string | undefined, values: OptionValues): string {
  const { repository = url, branch, commit } = values;
  if (typeof repository !== "string")
    throw new UsageFailure("submit", "what to build is not given", {
      hints: ["Try: croft submit URL, or croft submit . for this directory as it is"],
    });
  if (url !== undefined && repository !== url)
    throw new UsageFailure("submit", `both '${url}' and --repository '${repository}' are to be built`);
  const fragment = [branch, commit].filter((part) => part !== undefined).join("@");
  if (fragment === "") return repository;
  if (repository.includes("#"))
    throw new UsageFailure(
      "submit",
      `'${repository}' names its branch already: leave out --branch and --commit`,
    );
  return `${repository}#${fragment}`;
}

function picked(values: OptionValues, ...names: string[]): OptionValues {
  return Object.fromEntries(
    names.filter((name) => values[name] !== undefined).map((name) => [name, values[name]]),
  );
}

/** The package's name, as the URL tells it. */
function nameFrom(repository: string): string {
  const name = packageNameFrom(repository);
  if (name === undefined)
    throw new UsageFailure("submit", `'${repository}' tells no name`, { hints: ["Give it with --name."] });
  return name;
}
