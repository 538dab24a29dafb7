/** What the program declares as its commands: what a person who has installed it can call. */
import type { Command } from "commander";
import { subcommands } from "../../bin/subcommands.ts";

/** Of all commands and subcommands, the whole names: `croft machine create`. */
export interface DeclaredCommands {
  all: string[];
  /** Those that do something; the others are names for a group. */
  working: string[];
}

export async function declaredCommands(): Promise<DeclaredCommands> {
  const found: DeclaredCommands = { all: [], working: [] };
  for (const [name, { load }] of Object.entries(subcommands)) collect(`croft ${name}`, await load(), found);
  return found;
}

function collect(name: string, command: Command, found: DeclaredCommands): void {
  found.all.push(name);
  // A group of commands has neither options nor arguments of its own.
  const isGroup =
    command.commands.length > 0 && command.options.length + command.registeredArguments.length === 0;
  if (!isGroup) found.working.push(name);
  for (const below of command.commands) collect(`${name} ${below.name()}`, below, found);
}
