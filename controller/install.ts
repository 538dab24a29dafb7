/** `croft controller install`: the controller as a service. */
import type { Command } from "commander";
import { makeCommand } from "../os/command-line/command.ts";
import { Failure } from "../os/failure.ts";
import { addOptions, givenValues, withDefaults } from "../os/command-line/options.ts";
import {
  commandLine,
  croftProgram,
  Installation,
  installOptions,
  liesInHome,
  unitText,
} from "../os/service/service-install.ts";

const service = "croft-controller.service";

const configuration = "/etc/croft/controller.yaml";
const options = installOptions(configuration);

/** The command, a part of `croft controller`. */
export function installCommand(): Command {
  const command = makeCommand("install", "run the controller as a service of systemd on this host");
  addOptions(command, options);
  command.action(async () => {
    const values = withDefaults(givenValues(command, options), options);
    const flag = (name: string) => values[name] === true;
    const say = (line: string) => process.stdout.write(`${line}\n`);
    const installation = new Installation("install the controller", { dryRun: flag("dry-run"), say });
    if (flag("uninstall")) await uninstall(installation);
    else await install(installation, values["config"] as string, flag("now"));
  });
  return command;
}

async function install(installation: Installation, file: string, now: boolean): Promise<void> {
  if (liesInHome())
    throw new Failure(
      "install the controller",
      "croft lies in a home directory, where its own user may not read",
      {
        hints: ["Install croft for all users first: npm install --global croft, as root"],
      },
    );
  // Read by a user that systemd makes up: nothing secret stands in it but digests of tokens.
  await installation.example(file, exampleConfiguration, { mode: 0o644 });
  await installation.unit(...controllerUnit(croftProgram(), file));
  await installation.systemctl("daemon-reload");
  if (now) await installation.systemctl("enable", "--now", service);
  installation.say("Next:");
  if (!now) installation.say(`  systemctl enable --now ${service}`);
  else if (installation.changed) installation.say(`  systemctl restart ${service}, if it ran before`);
  installation.say(`  systemctl status ${service}; journalctl -u ${service} -f`);
}

/** The unit: its name, and its text with the program that it starts. */
export function controllerUnit(
  program: readonly string[],
  file = configuration,
): [name: string, text: string] {
  const argv = ["--log-format", "systemd", "--config", file, "--data", "/var/lib/croft-controller"];
  return [service, unitText(service, { ExecStart: commandLine(program, "controller", ...argv) })];
}

async function uninstall(installation: Installation): Promise<void> {
  if (installation.hasUnit(service)) await installation.systemctl("disable", "--now", service);
  await installation.removeUnit(service);
  await installation.systemctl("daemon-reload");
  installation.say("Configuration (/etc/croft) and data (/var/lib/croft-controller) stay.");
}

/** What stands in the configuration until somebody changes it. */
export const exampleConfiguration = `# Configuration of the controller; after a change: systemctl restart ${service}
# Where it listens, and where agents and people reach it
listen: 127.0.0.1:8420
# public-url: http://controller.example:8420
# tls: {cert: /etc/croft/controller.pem, key: /etc/croft/controller.key}    # or a proxy's

# Without the following, any agent that reaches it is given builds, and anyone who reaches it may submit them.
# agents:
#   keys: /etc/croft/agent-keys        # a PEM file with the public key of each agent (croft agent --auth-key)
# Tokens of people are made while it runs: croft token create NAME --config FILE --data /var/lib/croft-controller
# private: true                        # reading takes a token, too; agents prove that they have their key

# What builds are made for; machine: pattern of the names of the machines that will do.
# targets:
#   - name: debian
#     machine: debian_*
`;
