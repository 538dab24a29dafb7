import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { addOptions, givenValues } from "../../os/command-line/options.ts";
import { controllersArgument } from "../settings/controller-setting.ts";
import { effectiveConfiguration } from "../settings/effective-configuration.ts";
import { agentOptions } from "../settings/options.ts";
import { settingsOf } from "../settings/settings.ts";

/** Modes of the agent are no settings that a host can be fit for. */
const doctorOptions = agentOptions.filter(
  ({ name, commandLineOnly }) => !commandLineOnly || name === "config",
);

/** The `croft doctor` command. */
export function doctorCommand(): Command {
  const command = makeCommand(
    "croft doctor",
    "checks whether this host has what an agent with these options needs, and says how to mend what is missing",
  );
  command.argument("[controller...]", `${controllersArgument.value}: ${controllersArgument.prose}`);
  addOptions(command, doctorOptions);
  command.option("--json", "print the findings as JSON");
  command.option(
    "--try-warm",
    "save a machine that is free, and restore copies of it: machines under KVM are saved only where this has passed",
  );
  command.addHelpText("after", "\nExit status: 0 fine (warnings allowed), 1 problems, 2 wrong usage.");
  command.action(async (controllers: string[]) => {
    const given = givenValues(command, doctorOptions);
    const configuration = effectiveConfiguration(given, controllers, given["config"] as string | undefined);
    const settings = settingsOf(configuration, { needsControllers: false });
    const { diagnose } = await import("./diagnose.ts"); // help and errors of usage need none of it
    const isOn = (option: string) => command.getOptionValue(option) === true;
    process.exitCode = await diagnose(settings, { json: isOn("json"), tryWarm: isOn("tryWarm") });
    // A system call that hangs (a network file system without its server) would keep the process for ever.
    setTimeout(() => process.exit(), 4000).unref();
  });
  return command;
}
