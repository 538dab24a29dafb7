/** `croft machine`: what machines there are, and removing them; making them is in image/, what runs is in operator-commands.ts. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { Failure, UsageFailure, reasonOf } from "../../os/failure.ts";
import { makeLog } from "../../os/log.ts";
import {
  addOptions,
  givenValues,
  withDefaults,
  type OptionDeclaration,
} from "../../os/command-line/options.ts";
import { createCommand } from "../image/create-command.ts";
import { copyCommand } from "../copying/copy-command.ts";
import { receiveCommand } from "../copying/receive-command.ts";
import { updateCommand } from "../image/update-command.ts";
import { importCommand } from "../import/import-command.ts";
import { formatList, formatReport } from "./inventory-text.ts";
import { reportMachine, summarizeMachines } from "./inventory.ts";
import { listMachines, type MachinePaths } from "../layout.ts";
import { checkMachineName, checkToolchainName } from "../names.ts";
import {
  consoleCommand,
  heldMachines,
  killCommand,
  resumeCommand,
  runtimeOption,
} from "./operator-commands.ts";
import { finishRemovals, removeMachine, removeRevision } from "../remove.ts";
import { defaultRuntime } from "../runtime-directory.ts";
import { openStorage } from "../open-storage.ts";
import type { StorageKind } from "../storage.ts";

const machinesOption: OptionDeclaration = {
  name: "machines",
  kind: "path",
  value: "DIR",
  default: "/build/machines",
  prose: "directory with the volumes of machines",
};
const toolchainOption: OptionDeclaration = {
  name: "toolchain-name",
  kind: "string",
  value: "NAME",
  check: checkToolchainName,
  prose: "toolchain whose bootstrapped machines and locks are meant",
};
const volumeOption: OptionDeclaration = {
  name: "volume",
  kind: "string",
  value: "NAME",
  check: checkMachineName,
  prose: "volume of the machine; without it, the first that has it",
};
const jsonOption: OptionDeclaration = { name: "json", kind: "flag", prose: "print JSON" };

/** Options of `croft machine list`. */
export const listOptions: readonly OptionDeclaration[] = [
  machinesOption,
  { ...toolchainOption, default: "default" },
  runtimeOption,
  jsonOption,
];

/** Options of `croft machine show`. */
export const showOptions: readonly OptionDeclaration[] = [
  machinesOption,
  volumeOption,
  { ...toolchainOption, prose: "only what was bootstrapped for this toolchain" },
  jsonOption,
];

/** Options of `croft machine remove`. */
export const removeOptions: readonly OptionDeclaration[] = [
  machinesOption,
  volumeOption,
  { name: "revision", kind: "integer", value: "R", prose: "only this revision, not the machine" },
  {
    name: "storage",
    kind: "choice",
    choices: ["auto", "btrfs", "directory"],
    default: "auto",
    prose: "how machines are stored",
  },
];

/** The `croft machine` command. */
export function machineCommand(): Command {
  const command = makeCommand(
    "croft machine",
    "makes, updates, copies, lists, shows and removes build machines; looks into those that run",
  );
  command.helpCommand(false);
  // What hosts boot and serve, nobody else may change.
  command.hook("preAction", () => void process.umask(process.umask() | 0o022));
  command.addCommand(createCommand());
  command.addCommand(updateCommand());
  command.addCommand(importCommand());
  command.addCommand(copyCommand());
  command.addCommand(receiveCommand());
  command.addCommand(listCommand());
  command.addCommand(showCommand());
  command.addCommand(removeCommand());
  command.addCommand(resumeCommand());
  command.addCommand(killCommand());
  command.addCommand(consoleCommand());
  return command;
}

function listCommand(): Command {
  const command = addOptions(makeCommand("list", "lists the machines of this host"), listOptions);
  return command.action(async () => {
    const values = withDefaults(givenValues(command, listOptions), listOptions);
    const root = (values["runtime"] as string | undefined) ?? defaultRuntimeIfAny();
    const machines = summarizeMachines(
      String(values["machines"]),
      String(values["toolchain-name"]),
      root === undefined ? [] : await heldMachines(root),
    );
    print(values["json"] ? toJson({ machines }) : formatList(machines));
  });
}

function showCommand(): Command {
  const command = addOptions(makeCommand("show", "shows all there is of a machine"), showOptions);
  command.argument("<name>", "name of the machine");
  return command.action((name: string) => {
    const values = withDefaults(givenValues(command, showOptions), showOptions);
    const paths = find(String(values["machines"]), name, values["volume"] as string | undefined);
    if (!paths) throw noMachine("show", name, String(values["machines"]));
    const report = reportMachine(paths, values["toolchain-name"] as string | undefined);
    print(values["json"] ? toJson(report) : formatReport(report));
  });
}

function removeCommand(): Command {
  const command = makeCommand("remove", "removes a machine, or one of its revisions, that no agent is using");
  addOptions(command, removeOptions).argument("<name>", "name of the machine");
  return command.action(async (name: string) => {
    const values = withDefaults(givenValues(command, removeOptions), removeOptions);
    const machines = String(values["machines"]);
    const volume = values["volume"] as string | undefined;
    const storage = await openStorage(machines, values["storage"] as "auto" | StorageKind, makeLog());
    const paths = find(machines, name, volume);
    const revision = values["revision"] as number | undefined;
    if (revision !== undefined) {
      if (!paths) throw noMachine("remove", name, machines);
      await removeRevision(storage, paths, revision);
      print(`removed revision ${revision} of machine ${name}\n`);
      return;
    }
    let finished = 0;
    for (const each of volume === undefined ? volumesOf(machines) : [volume])
      finished += await finishRemovals(storage, join(machines, each), name);
    if (!paths && finished === 0) throw noMachine("remove", name, machines);
    if (paths) await removeMachine(storage, paths);
    print(`removed machine ${name}\n`);
  });
}

/** A user without a runtime directory holds no machines. */
function defaultRuntimeIfAny(): string | undefined {
  try {
    return defaultRuntime();
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
}

/** Finds a machine by its name. The toolchain of the paths is of no meaning. */
function find(machines: string, name: string, volume: string | undefined): MachinePaths | undefined {
  const wrong = checkMachineName(name);
  if (wrong !== undefined) throw new UsageFailure(`use the machine name '${name}'`, wrong);
  return listMachines(machines, "none").find(
    (paths) => paths.name === name && (volume === undefined || paths.volume === volume),
  );
}

function volumesOf(machines: string): string[] {
  try {
    return readdirSync(machines).filter((name) => checkMachineName(name) === undefined);
  } catch (error) {
    throw new Failure(`list volumes in '${machines}'`, reasonOf(error), { cause: error });
  }
}

function noMachine(verb: string, name: string, machines: string): Failure {
  return new Failure(`${verb} machine '${name}'`, `there is none in '${machines}'`, {
    hints: ["See: croft machine list"],
  });
}

function toJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

function print(text: string): void {
  process.stdout.write(text);
}
