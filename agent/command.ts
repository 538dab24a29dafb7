import type { Command } from "commander";
import { makeCommand } from "../os/command-line/command.ts";
import { makeLog } from "../os/log.ts";
import type { Example } from "../os/manual/page.ts";
import { addOptions, givenValues } from "../os/command-line/options.ts";
import { packageVersion } from "../os/files/package.ts";
import { cacheCommand } from "./cache-command.ts";
import { controllersArgument } from "./settings/controller-setting.ts";
import { effectiveConfiguration } from "./settings/effective-configuration.ts";
import { agentExamples } from "./settings/examples.ts";
import { installCommand } from "./install.ts";
import { agentOptions } from "./settings/options.ts";
import { rejectedCommand } from "./rejected.ts";
import { settingsOf } from "./settings/settings.ts";

/** The `croft agent` command. */
export function agentCommand(): Command {
  const command = makeCommand(
    "croft agent",
    "polls controllers for tasks and performs each in a clean virtual machine",
  );
  command.argument("[controller...]", `${controllersArgument.value}: ${controllersArgument.prose}`);
  addOptions(command, agentOptions);
  command.version(packageVersion, "--version", "print the version of croft");
  // Options after the name of a subcommand are its own.
  command
    .enablePositionalOptions()
    .helpCommand(false)
    .addCommand(cacheCommand())
    .addCommand(installCommand())
    .addCommand(rejectedCommand());
  command.addHelpText("after", `\nExamples:\n${agentExamples.map(example).join("\n")}`);
  command.action(async (controllers: string[]) => {
    const given = givenValues(command, agentOptions);
    const read = () => effectiveConfiguration(given, controllers, given["config"] as string | undefined);
    const configuration = read();
    const settings = settingsOf(configuration);
    if (given["print-config"] === true) {
      const { formatConfiguration } = await import("./settings/print-configuration.ts");
      process.stdout.write(formatConfiguration(configuration, settings));
      return;
    }
    const log = makeLog({ verbosity: settings.verbosity, format: settings.logFormat });
    process.umask(0o077); // as the service has it: all that is made is for this user, sockets and parents of directories, too
    const { runAgent } = await import("./daemon.ts"); // help and errors of usage need none of it
    await runAgent(settings, log, () => settingsOf(read()));
  });
  return command;
}

const example = ({ prose, command }: Example) => `  ${prose}:\n    ${command}`;
