/** `croft pause` and `croft resume`: who is given no builds, and who is again. */
import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { givenValues, type OptionDeclaration } from "../../os/command-line/options.ts";
import { UsageFailure } from "../../os/failure.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { addClientOptions, connectionOf } from "./connection.ts";
import { askControl, placeOptions } from "./control.ts";

/** The options of `croft pause`. */
const pauseOptions: readonly OptionDeclaration[] = [
  {
    name: "reason",
    kind: "string",
    value: "TEXT",
    commandLineOnly: true,
    prose: "why, for those whose builds wait",
  },
  ...placeOptions,
];

/** The options of `croft resume`. */
const resumeOptions = placeOptions;

/** `croft pause`, for the table of commands. */
export function pauseCommand(): Command {
  const command = makeCommand("croft pause", "hold builds back: from an agent, those of a target, or all");
  return addArguments(command, pauseOptions).action(async (kind: string, name?: string) => {
    const { reason } = givenValues(command, pauseOptions);
    const paused = pausedIn("pause", kind, name);
    await ask(command, "POST", paused, reason === undefined ? {} : { reason });
    process.stdout.write(`${words(kind, name)}: paused; what is being built goes on\n`);
  });
}

/** `croft resume`, for the table of commands. */
export function resumeCommand(): Command {
  const command = makeCommand("croft resume", "end a pause of an agent, a target or all");
  return addArguments(command, resumeOptions).action(async (kind: string, name?: string) => {
    await ask(command, "DELETE", pausedIn("resume", kind, name));
    process.stdout.write(`${words(kind, name)}: resumed\n`);
  });
}

function addArguments(command: Command, options: readonly OptionDeclaration[]): Command {
  command.argument("<agent|target|all>", "what: one agent, one target, or all targets");
  command.argument("[name]", "of the agent or the target");
  return addClientOptions(command, options);
}

interface Paused {
  kind: string;
  name?: string;
}

function pausedIn(verb: string, kind: string, name: string | undefined): Paused {
  if (!["agent", "target", "all"].includes(kind))
    throw new UsageFailure(`${verb} '${kind}'`, "expected agent, target or all");
  if ((kind === "all") !== (name === undefined))
    throw new UsageFailure(`${verb} ${kind}`, kind === "all" ? "it has no name" : "no name is given");
  return { kind, ...withoutUndefined({ name }) };
}

/** By HTTP if a controller is named, else over the socket of the one on this host. */
async function ask(command: Command, method: "POST" | "DELETE", paused: Paused, more: object = {}) {
  const place = givenValues(command, placeOptions);
  const isNamed = "controller" in command.opts() || (process.env["CROFT_CONTROLLER"] ?? "") !== "";
  const query = new URLSearchParams({ ...paused }).toString();
  const isHere = !isNamed || Object.values(place).some((value) => value !== undefined);
  if (isHere && method === "POST") await askControl(place, method, "/pauses", { ...paused, ...more });
  else if (isHere) await askControl(place, method, `/pauses?${query}`);
  else if (method === "POST") await connectionOf(command).post("/api/v1/pauses", { ...paused, ...more });
  else await connectionOf(command).delete(`/api/v1/pauses?${query}`);
}

function words(kind: string, name: string | undefined): string {
  return kind === "all" ? "all targets" : `${kind} ${name}`;
}
