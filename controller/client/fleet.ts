/** `croft agents` and `croft status`: what the farm does. */
import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { givenValues, type OptionDeclaration } from "../../os/command-line/options.ts";
import { formatDuration } from "../../os/text/duration.ts";
import { formatTable } from "../../os/text/table.ts";
import { printable } from "../../os/text/terminal-text.ts";
import type { AgentAnswer, PauseAnswer, TargetAnswer } from "../description/answers.ts";
import { addClientOptions, connectionOf, type Connection } from "./connection.ts";

const jsonOption: OptionDeclaration = { name: "json", kind: "flag", prose: "print the controller's answer" };

/** The options of `croft agents` and of `croft status`. */
const fleetOptions: readonly OptionDeclaration[] = [jsonOption];

const getAgents = (connection: Connection) =>
  connection.get<{ agents: AgentAnswer[] }>("/api/v1/agents").then(({ agents }) => agents);

/** All agents and targets. */
export async function getFarm(
  connection: Connection,
): Promise<{ agents: AgentAnswer[]; targets: TargetAnswer[] }> {
  const agents = await getAgents(connection);
  const { targets } = await connection.get<{ targets: TargetAnswer[] }>("/api/v1/targets");
  return { agents, targets };
}

/** `croft agents`, for the table of commands. */
export function agentsCommand(): Command {
  const command = makeCommand("croft agents", "list agents: what each does, since when, with which machines");
  return addClientOptions(command, fleetOptions).action(async () => {
    const agents = await getAgents(connectionOf(command));
    print(command, { agents }, () => agentTable(agents));
  });
}

/** `croft status`, for the table of commands. */
export function statusCommand(): Command {
  const command = makeCommand(
    "croft status",
    "show what the farm does: agents, targets, what is being built",
  );
  return addClientOptions(command, fleetOptions).action(async () => {
    const { agents, targets } = await getFarm(connectionOf(command));
    print(command, { agents, targets }, () => statusText(agents, targets));
  });
}

function print(command: Command, answer: object, text: () => string): void {
  const { json } = givenValues(command, fleetOptions);
  // Agents, machines and packages give names to much of it.
  const shown = () => text().split("\n").map(printable).join("\n");
  process.stdout.write(json ? `${JSON.stringify(answer, undefined, 2)}\n` : shown());
}

function agentTable(agents: readonly AgentAnswer[]): string {
  if (agents.length === 0) return "no agents have been heard of\n";
  const rows = agents.map(({ name, state, version, heardAt, toolchain, machines, paused, builds }) => [
    ...[name, state, ago(builds[0]?.since ?? heardAt), version ?? "not croft", toolchain],
    machines.slice(0, 3).join(",") + (machines.length > 3 ? ",…" : "") || "-",
    [
      ...(paused ? [pausedWords(paused)] : []),
      ...builds.map(({ id, target }) => `build ${id} for ${target}`),
    ].join("; ") || "-",
  ]);
  return formatTable([["AGENT", "STATE", "SINCE", "VERSION", "TOOLCHAIN", "MACHINES", "WHAT"], ...rows]);
}

/** What the farm does, in tables. */
export function statusText(agents: readonly AgentAnswer[], targets: readonly TargetAnswer[]): string {
  const count = (state: AgentAnswer["state"]) => agents.filter((agent) => agent.state === state).length;
  const paused = agents.filter((agent) => agent.paused !== null).length;
  const states = (["building", "idle", "silent"] as const).map((state) => `${count(state)} ${state}`);
  const running = agents.flatMap(({ name, builds }) => builds.map((build) => ({ agent: name, ...build })));
  const parts = [
    `${agents.length} agent${agents.length === 1 ? "" : "s"}: ${states.join(", ")}${paused > 0 ? `; ${paused} paused` : ""}\n`,
    formatTable([
      ["TARGET", "QUEUED", "BUILDING", "IDLE AGENTS", "OLDEST WAITS", "WHY"],
      ...targets.map((target) => [
        ...[target.name, String(target.queued), String(target.building), String(target.idleAgents)],
        target.oldest ? ago(target.oldest.queuedAt) : "-",
        target.waiting ?? (target.paused ? pausedWords(target.paused) : "-"),
      ]),
    ]),
    running.length === 0
      ? ""
      : formatTable([
          ["BUILD", "PACKAGE", "TARGET", "AGENT", "MACHINE", "FOR"],
          ...running.map(({ id, name, version, target, agent, machine, since }) => [
            ...[String(id), `${name}/${version}`, target, agent, machine, ago(since)],
          ]),
        ]),
  ];
  return parts.filter((part) => part !== "").join("\n");
}

function pausedWords({ reason }: PauseAnswer): string {
  return reason === null ? "paused" : `paused (${reason})`;
}

function ago(time: string): string {
  return formatDuration((Date.now() - Date.parse(time)) / 1000);
}
