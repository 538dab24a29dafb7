/** `croft approvals`: pull requests of forks that wait, and the decision on them. */
import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { givenValues, type OptionDeclaration } from "../../os/command-line/options.ts";
import { UsageFailure } from "../../os/failure.ts";
import { formatTable } from "../../os/text/table.ts";
import type { ApprovalAnswer } from "../description/answers.ts";
import { addClientOptions, connectionOf } from "./connection.ts";

/** The options of `croft approvals`. */
const approvalsOptions: readonly OptionDeclaration[] = [
  { name: "json", kind: "flag", commandLineOnly: true, prose: "print JSON" },
];

/** The command, for the table of commands. */
export function approvalsCommand(): Command {
  const command = makeCommand(
    "croft approvals",
    "list pull requests of forks that wait; approve or reject one",
  );
  command.argument("[approve|reject]", "what becomes of one; absent: they are listed");
  command.argument("[id]", "of the one, as listed");
  return addClientOptions(command, approvalsOptions).action(async (what?: string, id?: string) => {
    const json = givenValues(command, approvalsOptions)["json"] === true;
    if (what === undefined) return list(command, json);
    if (what !== "approve" && what !== "reject")
      throw new UsageFailure(`decide '${what}'`, "expected approve or reject");
    if (id === undefined || !/^[1-9][0-9]{0,9}$/.test(id))
      throw new UsageFailure(
        `${what} '${id ?? ""}'`,
        "expected the number of one, as croft approvals lists them",
      );
    const answer = await connectionOf(command).post<{ builds?: { id: number }[] }>(
      `/api/v1/approvals/${id}/${what}`,
    );
    if (json) return void process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
    const builds = (answer.builds ?? []).map((build) => `#${build.id}`).join(" ");
    process.stdout.write(
      `${id}: ${what === "approve" ? "approved" : "rejected"}${builds && `: ${builds}`}\n`,
    );
  });
}

async function list(command: Command, json: boolean): Promise<void> {
  const answer = await connectionOf(command).get<{ approvals: ApprovalAnswer[] }>("/api/v1/approvals");
  if (json) return void process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
  const rows = answer.approvals.map((one) => [
    String(one.id),
    `${one.repository} ${one.pullRequest}`,
    one.commit.slice(0, 12),
    `${one.author} (${one.from ?? "gone"})`,
    one.subject,
  ]);
  process.stdout.write(rows.length === 0 ? "nothing waits for approval\n" : formatTable(rows));
}
