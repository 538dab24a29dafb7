/** `croft controller prune`: removes what is kept no longer, at a controller that runs on this host. */
import type { Command } from "commander";
import { makeCommand } from "../../../os/command-line/command.ts";
import { addOptions, givenValues, type OptionDeclaration } from "../../../os/command-line/options.ts";
import { formatBytes } from "../../../os/text/size.ts";
import type { Amount, PruneReport, Reason } from "../../retention/rules.ts";
import { placeOptions } from "../place-options.ts";

const limits = { kind: "integer", minimum: 1, commandLineOnly: true } as const;

/** Options of `croft controller prune`. */
const pruneOptions: readonly OptionDeclaration[] = [
  {
    name: "dry-run",
    kind: "flag",
    commandLineOnly: true,
    prose: "only say what would be removed",
  },
  {
    name: "days",
    value: "N",
    ...limits,
    maximum: 36_500,
    prose: "remove builds that ended more than N days ago (default: retention.days)",
  },
  {
    name: "builds",
    value: "N",
    ...limits,
    maximum: 1_000_000,
    prose: "remove all but the newest N ended builds of each package and target (default: retention.builds)",
  },
  {
    name: "live-log-days",
    value: "N",
    ...limits,
    maximum: 36_500,
    prose: "remove live logs N days after their result (default: retention.live-log-days)",
  },
  { name: "json", kind: "flag", commandLineOnly: true, prose: "print JSON, with the ids of the builds" },
  ...placeOptions,
];

/** The command, a part of `croft controller`. */
export function pruneCommand(): Command {
  const command = makeCommand("prune", "remove builds, logs and artifacts that are kept no longer");
  return addOptions(command, pruneOptions).action(async () => {
    const values = givenValues(command, pruneOptions);
    const isDry = values["dry-run"] === true;
    const given = ["days", "builds", "live-log-days"].filter((name) => values[name] !== undefined);
    const body = { dryRun: isDry, rules: Object.fromEntries(given.map((name) => [name, values[name]])) };
    const { askControl } = await import("../control.ts"); // a controller that starts needs none of it
    const report = await askControl<PruneReport>(values, "POST", "/prune", body);
    process.stdout.write(
      values["json"] === true ? `${JSON.stringify(report, null, 2)}\n` : inWords(report, isDry),
    );
  });
}

function inWords({ builds, liveLogs, blobs }: PruneReport, isDry: boolean): string {
  const by = (wanted: Reason) => builds.filter(({ reason }) => reason === wanted).length;
  const amount = ({ count, bytes }: Amount) => `${count} (${formatBytes(bytes)})`;
  return [
    isDry ? "Would be removed:" : "Removed:",
    `  builds                ${builds.length} (${by("age")} by age, ${by("count")} by count)`,
    `  live logs             ${amount(liveLogs)}`,
    `  logs and artifacts    ${amount(blobs)}`,
    "",
  ].join("\n");
}
