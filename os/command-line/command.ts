import { Command, CommanderError } from "commander";
import { Failure } from "../failure.ts";
import { maskCredentials } from "../text/credentials.ts";
import { printable } from "../text/terminal-text.ts";

/** Wrong usage of a command line. */
const usageStatus = 2;
/** A bug: something was thrown that is no {@link Failure}. */
const bugStatus = 70;

/** A command that throws instead of ending the process, so that {@link runCommand} decides on the exit status. */
export function makeCommand(name: string, summary: string): Command {
  return new Command(name)
    .description(summary)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(oneClearLine(text)) })
    .allowExcessArguments(false);
}

/**
 * Parses the arguments and runs the command's action.
 *
 * @returns the exit status: 0; a {@link Failure}'s own after printing it in one line; 2 for wrong usage; 70 with
 * the stack for anything else. An action may set `process.exitCode` itself.
 */
export async function runCommand(
  command: Command | Promise<Command>,
  args: readonly string[],
): Promise<number> {
  try {
    const ready = await command; // what it throws while it is loaded is told as what it throws later
    await ready.parseAsync([...args], { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageStatus;
    if (!(error instanceof Failure)) return reportBug(error);
    // Names of files, and what hosts and guests said, may be in it.
    process.stderr.write(`croft: ${printable(maskCredentials(error.message))}\n`);
    for (const hint of error.hints) process.stderr.write(`  ${printable(maskCredentials(hint))}\n`);
    return error.exitStatus;
  }
}

/** Ends the process with {@link bugStatus} for what is thrown where nobody catches it: in an event, or a lost promise. */
export function endOnBugs(): void {
  process.on("uncaughtException", (error: unknown) => process.exit(reportBug(error)));
}

function reportBug(error: unknown): number {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  return bugStatus;
}

function oneClearLine(text: string): string {
  return `croft: ${text
    .replace(/^error: /, "Cannot use the command line: ")
    .replace(" is invalid. ", " is invalid: ")
    .replace(/\n\(Did you mean (.*)\?\)$/m, " (did you mean $1?)")
    .trimEnd()}\n`;
}
