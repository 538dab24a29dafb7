/** `croft show`: one build, with all that its page has but the log. */
import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { givenValues, type OptionDeclaration } from "../../os/command-line/options.ts";
import { formatBytes } from "../../os/text/size.ts";
import { formatTable } from "../../os/text/table.ts";
import { treeText } from "../../manifests/working-tree.ts";
import { printable } from "../../os/text/terminal-text.ts";
import { estimateText } from "../estimate-words.ts";
import { testsText } from "../reports/tests-text.ts";
import { attemptsText } from "../setbacks.ts";
import { addClientOptions, connectionOf } from "./connection.ts";
import { getDetails, type DetailsAnswer } from "./details.ts";
import { buildId } from "./watch.ts";

/** The options of `croft show`. */
export const showOptions: readonly OptionDeclaration[] = [
  { name: "json", kind: "flag", prose: "print the controller's answer" },
];

/** The command, for the table of commands. */
export function showCommand(): Command {
  const command = makeCommand(
    "croft show",
    "show a build: its state and why, attempts, operations, artifacts",
  ).argument("<ID>", "number or URL of the build");
  return addClientOptions(command, showOptions).action(async (text: string) => {
    const details = await getDetails(connectionOf(command), buildId(text));
    const json = givenValues(command, showOptions)["json"];
    process.stdout.write(json ? `${JSON.stringify(details, undefined, 2)}\n` : description(details));
  });
}

/** For people: a line per property, then a table each of what there are several of. */
export function description(build: DetailsAnswer): string {
  const { attempts, operations, artifacts } = build;
  const parts = [
    `build ${build.id}: ${build.name}/${build.version} for ${build.target}\n`,
    formatTable(properties(build).map(([name, value]) => [`  ${name}`, value])),
    section(
      ["ATTEMPT", "AGENT", "MACHINE", "OUTCOME", "TIME", "FAULT OF"],
      attempts.map(({ attempt, agent, machine, state, status, seconds: time, fault }) => [
        ...[String(attempt), agent, machine, status ?? state, seconds(time), fault ?? "-"],
      ]),
    ),
    section(
      ["OPERATION", "STATUS", "ERRORS", "WARNINGS", "LOG"],
      operations.map(({ name, status, errors, warnings, logLines }) => [
        ...[name, status, String(errors), String(warnings), `${logLines} line${logLines === 1 ? "" : "s"}`],
      ]),
    ),
    tests(build),
    section(
      ["ARTIFACT", "ATTEMPT", "SIZE", "SHA-256"],
      artifacts.map(({ name, attempt, bytes, sha256 }) => [
        name,
        String(attempt),
        formatBytes(bytes),
        sha256,
      ]),
    ),
  ];
  // Agents and machines give names to much of it.
  return parts
    .filter((part) => part !== "")
    .join("\n")
    .split("\n")
    .map(printable)
    .join("\n");
}

function properties(build: DetailsAnswer): [string, string][] {
  const { state, status, waiting, submittedBy, attempts } = build;
  return [
    ["page", build.url],
    ["repository", treeText(build.repository) ?? build.repository],
    ...Object.entries(attempts.at(-1)?.auxiliary ?? build.auxiliary ?? {}).map(
      ([name, machine]): [string, string] => [`auxiliary ${name}`, machine],
    ),
    ...Object.entries(build.variables ?? {}).map(([name, value]): [string, string] => [
      `variable ${name}`,
      value,
    ]),
    ["state", status === null ? state : `${state}: ${status}`],
    ...(typeof waiting === "string" ? [["it waits", waiting] as [string, string]] : []),
    ...(build.estimate ? [["estimate", estimateText(state, build.estimate)] as [string, string]] : []),
    ...(build.sameAs ? [["the same as", `build ${build.sameAs}`] as [string, string]] : []),
    ["submitted", `${minute(build.createdAt)} UTC${submittedBy === null ? "" : ` by ${submittedBy}`}`],
    ["waited", seconds(build.queueSeconds)],
    ["built in", seconds(build.buildSeconds)],
    ...(build.pinned ? [["pinned", "kept whatever its age"] as [string, string]] : []),
    ["attempts", attemptsText({ ...build, attempts: attempts.length })],
    ...(build.tests ? [["tests", testsText(build.tests)] as [string, string]] : []),
    ...(build.tests?.reports ?? [])
      .filter(({ trouble }) => trouble !== null)
      .map(({ name, trouble }): [string, string] => ["report", `${name} cannot be read: ${trouble}`]),
  ];
}

const mostFailed = 20;

/** Those that failed; how many there were stands among the properties. */
function tests({ tests }: DetailsAnswer): string {
  const failed = tests?.failed ?? [];
  const rows = failed
    .slice(0, mostFailed)
    .map(({ suite, name, kind, message }) => [
      ...[suite === "" ? name : `${suite} ${name}`, kind, firstLine(message)],
    ]);
  const all = (tests?.failures ?? 0) + (tests?.errors ?? 0);
  const more = all > rows.length ? `and ${all - rows.length} more; its page has them\n` : "";
  return section(["FAILED TEST", "HOW", "WHY"], rows) + more;
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0]!.slice(0, 100);
}

function section(heading: string[], rows: readonly string[][]): string {
  return rows.length === 0 ? "" : formatTable([heading, ...rows]);
}

/** A time as it stands in lists, in UTC. */
export function minute(time: string): string {
  return new Date(time).toISOString().slice(0, 16).replace("T", " ");
}

function seconds(value: number | null): string {
  return value === null ? "-" : `${Math.round(value)} s`;
}
