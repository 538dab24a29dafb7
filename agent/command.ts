import type { Command } from "commander";
import { makeCommand } from "../host/command.ts";
import { makeLog } from "../host/log.ts";
import { addOptions, givenValues } from "../host/options.ts";
import { agentOptions } from "./options.ts";
import { makeSettings } from "./settings.ts";

/** The `croft agent` command. */
export function agentCommand(): Command {
  const command = makeCommand(
    "croft agent",
    "polls controllers for tasks and performs each in a clean virtual machine",
  );
  command.argument(
    "[controller...]",
    "controllers as [PRIORITY=]URL; the priority has four or five digits, [F]DCBA",
  );
  command.option(
    "--config <FILE>",
    "YAML file with options (keys: their names without dashes) and `controllers`",
  );
  addOptions(command, agentOptions);
  command.action(async (controllers: string[]) => {
    const file: unknown = command.getOptionValue("config");
    const settings = makeSettings(
      givenValues(command, agentOptions),
      controllers,
      file as string | undefined,
    );
    const log = makeLog({ verbosity: settings.verbosity, format: settings.logFormat });
    const { runAgent } = await import("./daemon.ts"); // help and errors of usage need none of it
    await runAgent(settings, log);
  });
  return command;
}
