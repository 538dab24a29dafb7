/** What can be completed on a command line, from what the commands declare. */
import type { Argument, Command, Option } from "commander";
import { DeclaredOption } from "../command-line/options.ts";

/** What a value is; `text` is anything, which nobody can complete. */
export type ValueKind = "files" | "directories" | "text" | readonly string[];

/** What stands for a value, and what it is. */
interface CompletedValue {
  name: string;
  kind: ValueKind;
}

export interface CompletedOption {
  /** With dashes. */
  long: string;
  short?: string;
  summary: string;
  /** Undefined for a flag. */
  value?: CompletedValue;
}

export interface CompletedCommand {
  /** What is typed after the program's name, e.g. `machine create`; nothing for the program itself. */
  path: string;
  summary: string;
  /** Last words of the commands below it. */
  below: CompletedCommand[];
  options: CompletedOption[];
  /** What its other words are. */
  argument: CompletedValue;
}

/** A program's commands, by the names they are called by; `help` asks for each. */
export function completedProgram(commands: Readonly<Record<string, Command>>): CompletedCommand {
  const below = Object.entries(commands).map(([name, command]) => completedCommand(command, name));
  const help: CompletedCommand = {
    ...{ path: "help", summary: "explain a command", below: [], options: [] },
    argument: { name: "command", kind: below.map(({ path }) => path) },
  };
  const options = [helpOption, { long: "--version", summary: "print the version" }];
  const argument = { name: "command", kind: "text" } as const;
  return { path: "", summary: "", below: [...below, help], options, argument };
}

/** A command and all below it, the ones above first. */
export function withAllBelow(command: CompletedCommand): CompletedCommand[] {
  return [command, ...command.below.flatMap(withAllBelow)];
}

/** A command as it is typed after the program's name, each word after a blank. */
export function typed({ path }: CompletedCommand): string {
  return path === "" ? "" : ` ${path}`;
}

/** An option's names, with dashes. */
export function namesOf({ long, short }: CompletedOption): string[] {
  return [long, ...(short === undefined ? [] : [short])];
}

/** The word that a command is called by, after the one above it. */
export function lastWord({ path }: CompletedCommand): string {
  return path.slice(path.lastIndexOf(" ") + 1);
}

const helpOption: CompletedOption = { long: "--help", short: "-h", summary: "explain it" };

function completedCommand(command: Command, path: string): CompletedCommand {
  // Some commands carry the names of those above them.
  const nameOf = (one: Command) => `${path} ${one.name().slice(one.name().lastIndexOf(" ") + 1)}`;
  return {
    path,
    summary: command.description(),
    below: command.commands.map((one) => completedCommand(one, nameOf(one))),
    options: [...command.options.filter(({ hidden }) => !hidden).map(completedOption), helpOption],
    argument: completedArgument(command.registeredArguments[0]),
  };
}

function completedOption(option: Option): CompletedOption {
  const value = /<(.*)>/.exec(option.flags)?.[1];
  return {
    long: option.long ?? option.flags,
    ...(option.short === undefined ? {} : { short: option.short }),
    summary: option instanceof DeclaredOption ? option.declaration.prose : option.description,
    ...(value === undefined ? {} : { value: { name: value, kind: kindOf(value, choicesOf(option)) } }),
  };
}

function choicesOf(option: Option): readonly string[] | undefined {
  return option instanceof DeclaredOption ? option.declaration.choices : option.argChoices;
}

function completedArgument(argument: Argument | undefined): CompletedValue {
  const name = argument?.name() ?? "";
  return { name, kind: kindOf(name, argument?.argChoices) };
}

/** What a value is, by its name in the help. */
function kindOf(name: string, choices: readonly string[] | undefined): ValueKind {
  if (choices !== undefined) return choices;
  if (name.includes("|")) return name.split("|");
  if (/^dir$/i.test(name)) return "directories";
  return /^(file|path)$/i.test(name) ? "files" : "text";
}
