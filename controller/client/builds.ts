/** `croft builds`, `croft cancel`, `croft rebuild` and `croft pin`. */
import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { givenValues, type OptionDeclaration } from "../../os/command-line/options.ts";
import { addClientOptions, connectionOf, type BuildAnswer } from "./connection.ts";
import { shortEstimate } from "../estimate-words.ts";
import { attemptsText } from "../setbacks.ts";
import { formatTable } from "../../os/text/table.ts";
import { minute } from "./show.ts";
import { buildId } from "./watch.ts";

/** The options of `croft builds`. */
export const buildsOptions: readonly OptionDeclaration[] = [
  {
    name: "state",
    kind: "choice",
    choices: ["queued", "building", "finished", "cancelled"],
    prose: "only builds in this state",
  },
  { name: "status", kind: "string", value: "STATUS", prose: "only finished builds with this status" },
  { name: "target", kind: "string", value: "TARGET", prose: "only builds for this target" },
  { name: "name", kind: "string", value: "NAME", prose: "only builds of this package" },
  {
    name: "limit",
    kind: "integer",
    value: "N",
    minimum: 1,
    maximum: 500,
    default: 50,
    prose: "at most so many",
  },
  { name: "json", kind: "flag", prose: "print the controller's answer" },
];

/** `croft builds`, for the table of commands. */
export function buildsCommand(): Command {
  const command = makeCommand("croft builds", "list builds, the newest first");
  return addClientOptions(command, buildsOptions).action(async () => {
    const { json, ...filter } = givenValues(command, buildsOptions);
    const query = new URLSearchParams(
      Object.entries(filter).map(([name, value]): [string, string] => [name, String(value)]),
    );
    const answer = await connectionOf(command).get<{ builds: BuildAnswer[] }>(`/api/v1/builds?${query}`);
    process.stdout.write(json ? `${JSON.stringify(answer, undefined, 2)}\n` : buildTable(answer.builds));
  });
}

/** `croft cancel`, for the table of commands. */
export function cancelCommand(): Command {
  const command = makeCommand("croft cancel", "take a build out of the queue, or away from its agent");
  return addClientOptions(command.argument("<ID>", "number or URL of the build"), []).action(
    async (text: string) => {
      const id = buildId(text);
      await connectionOf(command).post(`/api/v1/builds/${id}/cancel`);
      process.stdout.write(`build ${id}: cancelled\n`);
    },
  );
}

/** `croft rebuild`, for the table of commands. */
export function rebuildCommand(): Command {
  const command = makeCommand("croft rebuild", "queue a build again as it was submitted");
  return addClientOptions(command.argument("<ID>", "number or URL of the build"), []).action(
    async (text: string) => {
      const build = await connectionOf(command).post<BuildAnswer>(`/api/v1/builds/${buildId(text)}/rebuild`);
      process.stdout.write(`build ${build.id}, ${build.name} for ${build.target}: ${build.url}\n`);
    },
  );
}

const pinOptions: readonly OptionDeclaration[] = [
  { name: "remove", kind: "flag", prose: "let it be removed again when its time has come" },
];

/** `croft pin`, for the table of commands. */
export function pinCommand(): Command {
  const command = makeCommand("croft pin", "keep a build, whatever its age");
  return addClientOptions(command.argument("<ID>", "number or URL of the build"), pinOptions).action(
    async (text: string) => {
      const id = buildId(text);
      const isPinned = givenValues(command, pinOptions)["remove"] !== true;
      await connectionOf(command).post(`/api/v1/builds/${id}/${isPinned ? "pin" : "unpin"}`);
      process.stdout.write(`build ${id}: ${isPinned ? "pinned" : "no longer pinned"}\n`);
    },
  );
}

/** Builds, a line each. */
export function buildTable(builds: readonly BuildAnswer[]): string {
  if (builds.length === 0) return "no builds\n";
  const seconds = (value: number | null) => (value === null ? "-" : `${Math.round(value)} s`);
  const rows = builds.map((build) => [
    String(build.id),
    `${build.name}/${build.version}`,
    build.target,
    build.status ?? build.state,
    attemptsText(build),
    seconds(build.queueSeconds),
    seconds(build.buildSeconds),
    build.estimate ? shortEstimate(build.estimate) || "-" : "-",
    minute(build.createdAt),
  ]);
  const heading = [
    "ID",
    "PACKAGE",
    "TARGET",
    "STATE",
    "ATTEMPTS",
    "WAITED",
    "BUILT IN",
    "EXPECTED",
    "SUBMITTED (UTC)",
  ];
  return formatTable([heading, ...rows]);
}
