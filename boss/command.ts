import type { Command } from "commander";
import { makeCommand } from "../os/command-line/command.ts";
import { UsageFailure } from "../os/failure.ts";
import {
  addOptions,
  givenValues,
  withDefaults,
  type OptionDeclaration,
  type OptionValues,
} from "../os/command-line/options.ts";
import { bisectOptions, buildOptions, hostOptions, reportOptions, toolchainOptions } from "./options.ts";

/** A second Ctrl-C ends the boss at once. */
const interruptedStatus = 130;

/** The `croft boss` command. */
export function bossCommand(): Command {
  const command = makeCommand("croft boss", "builds a matrix of targets and commits on many hosts, by ssh");
  command.helpCommand(false);
  command.addCommand(buildCommand());
  command.addCommand(bisectCommand());
  command.addCommand(hostsCommand());
  command.addCommand(toolchainsCommand());
  command.addCommand(killCommand());
  command.addCommand(reportCommand());
  return command;
}

function buildCommand(): Command {
  const command = makeCommand("build", "builds targets at commits, and gathers the results here");
  addOptions(command, buildOptions).argument(
    "[target...]",
    "targets as NAME[:ARCH], or terms that choose boards; by default all configured ones",
  );
  command.addHelpText("after", buildHelp);
  return command.action(async (names: string[]) => {
    const values = valuesOf(command, buildOptions);
    const { runBuild } = await import("./build-command.ts");
    using signals = watchInterrupts();
    process.exitCode = await runBuild(values, names, signals.signal);
  });
}

const buildHelp = `
Exit status: 0 all built; 1 warnings, with --werror; 2 failures, or targets without result; 130 interrupted.
Run again, it builds what is missing.

Examples:
  croft boss build --hosts alpha,beta=build@beta.example:max-builds=8 sandbox qemu_arm64:aarch64
  croft boss build --recipe u-boot --branch topic --count 10`;

function bisectCommand(): Command {
  const command = makeCommand("bisect", "finds the first commit that breaks targets, on all hosts");
  addOptions(command, bisectOptions)
    .argument("<range>", "GOOD..BAD: a commit that builds, and one after it that does not")
    .argument("<target...>", "targets as NAME[:ARCH], or terms that choose boards");
  command.addHelpText("after", bisectHelp);
  return command.action(async (range: string, names: string[]) => {
    const values = valuesOf(command, bisectOptions);
    const { runBisect } = await import("./bisect-command.ts");
    using signals = watchInterrupts();
    process.exitCode = await runBisect(values, range, names, signals.signal);
  });
}

const bisectHelp = `
Exit status: 0 found; 2 undecided, or an end of the range is not what it is said to be; 130 interrupted.

Example:
  croft boss bisect --recipe u-boot --hosts alpha,beta v2026.07..master qemu_arm64`;

function hostsCommand(): Command {
  const command = makeCommand("hosts", "shows what the hosts are like, and whether they are busy");
  addOptions(command, hostOptions).option("--json", "print JSON");
  return command.action(async () => {
    const { showHosts } = await import("./hosts-command.ts");
    process.exitCode = await showHosts(
      valuesOf(command, hostOptions),
      command.getOptionValue("json") === true,
    );
  });
}

function toolchainsCommand(): Command {
  const command = makeCommand(
    "toolchains",
    "shows the compilers of hosts, and where missing ones can be had",
  );
  addOptions(command, toolchainOptions);
  return command.action(async () => {
    const { showToolchains } = await import("./toolchains-command.ts");
    process.exitCode = await showToolchains(valuesOf(command, toolchainOptions));
  });
}

function killCommand(): Command {
  const command = addOptions(makeCommand("kill", "ends workers that still run on the hosts"), hostOptions);
  return command.action(async () => {
    const { killAll } = await import("./hosts-command.ts");
    process.exitCode = await killAll(valuesOf(command, hostOptions));
  });
}

function reportCommand(): Command {
  const command = makeCommand("report", "sums up results, and writes them as a page");
  addOptions(command, reportOptions).argument("[target...]", "targets; by default all that have results");
  return command.action(async (names: string[]) => {
    const { report } = await import("./report-command.ts");
    await report(valuesOf(command, reportOptions), names);
  });
}

function valuesOf(command: Command, options: readonly OptionDeclaration[]): OptionValues {
  return withDefaults(givenValues(command, options), options);
}

/** The first SIGINT or SIGTERM ends the run in order, the second at once. */
function watchInterrupts(): Disposable & { signal: AbortSignal } {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(interruptedStatus);
    controller.abort(new UsageFailure("go on", "interrupted"));
  };
  const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const name of names) process.on(name, onSignal);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const name of names) process.off(name, onSignal);
    },
  };
}
