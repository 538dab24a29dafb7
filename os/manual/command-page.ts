/** A page of the manual for a command, from what it declares to the command line. */
import type { Command } from "commander";
import { sentence, type Block, type ManualPage, type Section } from "./page.ts";

/** What a page says besides what the command declares. */
export interface CommandPage {
  summary: string;
  version: string;
  /** Sections after the options. */
  more?: readonly Section[];
}

/** The page of a command with all commands below it. */
export function commandPage(command: Command, { summary, version, more = [] }: CommandPage): ManualPage {
  const leaves = leavesOf(command);
  const options = leaves.map((leaf): Section => {
    const title = leaves.length === 1 ? "Options" : `Options of ${leaf.name}`;
    return { title, blocks: optionBlocks(leaf.command) };
  });
  return {
    name: command.name().replaceAll(" ", "-"),
    section: 1,
    summary,
    version,
    sections: [
      { title: "Synopsis", blocks: leaves.map(({ name, command: leaf }) => synopsis(name, leaf)) },
      { title: "Description", blocks: descriptions(leaves) },
      ...options.filter(({ blocks }) => blocks.length > 0),
      ...more,
    ],
  };
}

interface Leaf {
  /** With those above it, as it is typed. */
  name: string;
  command: Command;
}

/** The command itself if it does something, and all below it. */
function leavesOf(command: Command, name = command.name()): Leaf[] {
  const below = command.commands.flatMap((one) => leavesOf(one, fullName(name, one.name())));
  const acts = command.commands.length === 0 || command.options.length > 0;
  return [...(acts ? [{ name, command }] : []), ...below];
}

/** Some commands carry the names of those above them. */
function fullName(above: string, name: string): string {
  return name.startsWith(`${above} `) ? name : `${above} ${name}`;
}

function synopsis(name: string, command: Command): string {
  const words = command.registeredArguments.map((argument) => {
    const word = `${wordOf(argument)}${argument.variadic ? " ..." : ""}`;
    return argument.required ? word : `[${word}]`;
  });
  return [`\`${name}\``, ...(command.options.length > 0 ? ["[OPTIONS]"] : []), ...words].join(" ");
}

function descriptions(leaves: readonly Leaf[]): Block[] {
  return [
    {
      terms: leaves.map(({ name, command }): [string, string] => [
        `\`${name}\``,
        [sentence(command.description()), ...command.registeredArguments.map(argumentText)].join(" "),
      ]),
    },
  ];
}

function argumentText(argument: { name(): string; description: string }): string {
  return argument.description === "" ? "" : `${wordOf(argument)}: ${argument.description}.`;
}

/** What stands for an argument, in the letters of the options' values. */
function wordOf(argument: { name(): string }): string {
  return argument.name().toUpperCase();
}

function optionBlocks(command: Command): Block[] {
  const shown = command.options.filter(({ hidden }) => !hidden);
  if (shown.length === 0) return [];
  return [
    {
      terms: shown.map(({ flags, description, argChoices, defaultValue }): [string, string] => {
        const notes = [
          ...(argChoices ? [argChoices.join(", ")] : []),
          ...(defaultValue === undefined ? [] : [`default: ${String(defaultValue)}`]),
        ];
        return [`\`${flags}\``, sentence(description + (notes.length > 0 ? ` (${notes.join("; ")})` : ""))];
      }),
    },
  ];
}
