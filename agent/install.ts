/** `croft agent install`: the agents of a host as services. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { makeCommand } from "../os/command-line/command.ts";
import { UsageFailure } from "../os/failure.ts";
import { addOptions, givenValues, withDefaults, type OptionDeclaration } from "../os/command-line/options.ts";
import {
  commandLine,
  croftProgram,
  Installation,
  installOptions,
  liesInHome,
  quoted,
  unitDirectory,
  unitText,
  type UnitChanges,
} from "../os/service/service-install.ts";
import { localController } from "../os/service/packaged.ts";
import { formatBytes } from "../os/text/size.ts";
import { controllersArgument } from "./settings/controller-setting.ts";
import { effectiveConfiguration } from "./settings/effective-configuration.ts";
import { settingsOf, type Settings } from "./settings/settings.ts";

const service = "croft-agent@.service";
const target = "croft-agent.target";

const configuration = "/etc/croft/agent.yaml";
const options: readonly OptionDeclaration[] = [
  {
    name: "instances",
    kind: "integer",
    value: "N",
    default: 1,
    minimum: 1,
    maximum: 99,
    prose: "how many agents this host runs, each a service croft-agent@1 and up",
  },
  ...installOptions(configuration),
];

/** The command, a part of `croft agent`. */
export function installCommand(): Command {
  const command = makeCommand("install", "run agents as services of systemd on this host");
  command.argument(
    "[controller...]",
    `${controllersArgument.value}, for a configuration that is written now`,
  );
  addOptions(command, options);
  command.action(async (controllers: string[]) => {
    const values = withDefaults(givenValues(command, options), options);
    const flag = (name: string) => values[name] === true;
    const say = (line: string) => process.stdout.write(`${line}\n`);
    const installation = new Installation("install the agent", { dryRun: flag("dry-run"), say });
    if (flag("uninstall")) await uninstall(installation);
    else
      await install(installation, {
        controllers,
        instances: values["instances"] as number,
        file: values["config"] as string,
        now: flag("now"),
      });
  });
  return command;
}

interface Wanted {
  controllers: readonly string[];
  instances: number;
  /** Path of the configuration. */
  file: string;
  now: boolean;
}

async function install(installation: Installation, wanted: Wanted): Promise<void> {
  const { file, now } = wanted;
  const settings = readSettings(wanted);
  if (now && settings.controllers.length === 0)
    throw new UsageFailure("start the agent", "no controller URL", {
      hints: [
        existsSync(file)
          ? `Put one under 'controllers:' in ${file}`
          : "Give at least one: croft agent install --now [PRIORITY=]URL…",
      ],
    });
  await installation.example(file, exampleConfiguration(wanted.controllers), {
    replace: wanted.controllers.length > 0 && isAsPackaged(file),
  });
  for (const path of placesOf(settings)) await installation.directory(path);
  for (const unit of unitsFor(settings, file, croftProgram())) await installation.unit(...unit);
  await installation.systemctl("daemon-reload");
  const names = Array.from({ length: wanted.instances }, (_, index) => instanceUnit(index + 1));
  if (now) {
    await installation.systemctl("enable", target, ...names);
    // Not waited for: an agent is up when it has looked through the machines, for which it may have to wait.
    await installation.systemctl("start", "--no-block", target, ...names);
  }
  tellNext(installation, wanted, settings, names);
}

function readSettings({ file, controllers }: Wanted): Settings {
  const present = existsSync(file) && !(controllers.length > 0 && isAsPackaged(file));
  if (present && controllers.length > 0)
    throw new UsageFailure(
      "install the agent",
      `'${file}' is there already, and says which controllers to ask`,
      {
        hints: ["Change the file, and leave the URLs out here."],
      },
    );
  // As if it were printed: an example without controllers is no mistake yet.
  const given = { "print-config": true, "systemd-daemon": true, ...(present ? { config: file } : {}) };
  return settingsOf(effectiveConfiguration(given, controllers, present ? file : undefined));
}

/** Whether nobody has changed the configuration that Debian's package brings. */
function isAsPackaged(file: string): boolean {
  return existsSync(file) && readFileSync(file, "utf8") === exampleConfiguration([localController]);
}

/** The units of agents with the usual settings: their names, and their texts with the program that they start. */
export function agentUnits(program: readonly string[]): [name: string, text: string][] {
  const given = { "print-config": true, "systemd-daemon": true };
  return unitsFor(settingsOf(effectiveConfiguration(given, [], undefined)), configuration, program);
}

function unitsFor(
  settings: Settings,
  file: string,
  program: readonly string[],
): [name: string, text: string][] {
  return [
    [target, unitText(target)],
    [service, unitText(service, unitChanges(settings, file, program))],
  ];
}

/** Directories outside of those that systemd makes. */
function placesOf({ machines, tftp, spool, caches, cacheDirectory }: Settings): string[] {
  return [machines, tftp, spool, ...(caches.length > 0 ? [cacheDirectory] : [])];
}

function unitChanges(settings: Settings, file: string, program: readonly string[]): UnitChanges {
  const places = placesOf(settings);
  // /var/lock is a link; the runtime directory of the settings is that of one instance.
  const locks = settings.toolchainLock === "" ? [] : [dirname(settings.toolchainLock)];
  const writable = [...places, ...locks.map((path) => path.replace(/^\/var\/lock\b/, "/run/lock"))];
  const runtime = dirname(settings.runtime);
  if (runtime !== "/run/croft") writable.push(runtime);
  const agent = ["agent", "--systemd-daemon", "--config", file, "--instance", "INSTANCE"];
  return {
    RequiresMountsFor: places.map(quoted).join(" "),
    ExecStart: commandLine(program, ...agent).replace(/INSTANCE$/, "%i"),
    // The first of its lines; the second sends the signal.
    ExecReload:
      `/bin/sh -c 'exec "$$@" > /dev/null' sh ${commandLine(program, ...agent)} --print-config`.replace(
        / INSTANCE /,
        () => " %i ",
      ),
    ReadWritePaths: writable.map((path) => quoted(`-${path}`)).join(" "),
    // Programs in a home directory could not be started otherwise.
    ...(liesInHome() ? { ProtectHome: "read-only" } : {}),
  };
}

function tellNext(installation: Installation, wanted: Wanted, settings: Settings, names: string[]): void {
  const { file, now } = wanted;
  if (liesInHome()) installation.say("Note: croft lies in a home directory, so services may read those.");
  const others = installedInstances().filter((name) => !names.includes(name));
  if (others.length > 0)
    installation.say(
      `Enabled before, and still: ${others.join(" ")}; to end one: systemctl disable ${others[0]}, systemctl kill --kill-whom=main -s USR2 ${others[0]}`,
    );
  if (installation.changed)
    installation.say(
      "Agents that run take the new unit with their next start: systemctl restart croft-agent.target",
    );
  installation.say("Next:");
  if (settings.controllers.length === 0) installation.say(`  put the URL of a controller into ${file}`);
  tellNeeds(installation, settings, names.length, file);
  if (!now) installation.say(`  systemctl enable --now ${target} ${names.join(" ")}`);
  installation.say(`  systemctl status 'croft-agent@*'; journalctl -u 'croft-agent@*' -f`);
}

/** What it takes to build so much at a time. */
function tellNeeds(
  installation: Installation,
  { machineCopies, cpus, ramKiB }: Settings,
  instances: number,
  file: string,
): void {
  if (instances === 1) return;
  const memory = formatBytes(ramKiB * 1024 * instances);
  installation.say(
    `  have ${memory} of memory free for ${instances} builds at a time, and ${cpus * instances} processors if they are not to wait for each other`,
  );
  if (machineCopies !== "auto" && machineCopies < instances)
    installation.say(
      `  let one machine serve them all: machine-copies: auto in ${file}; now each serves ${machineCopies === 1 ? "one build" : `${machineCopies} builds`} at a time`,
    );
}

async function uninstall(installation: Installation): Promise<void> {
  const names = installedInstances();
  if (installation.hasUnit(target))
    await installation.systemctl("stop", target, ...names, "croft-agent@*.service");
  if (names.length > 0) await installation.systemctl("disable", target, ...names);
  else if (installation.hasUnit(target)) await installation.systemctl("disable", target);
  await installation.removeUnit(service);
  await installation.removeUnit(target);
  await installation.systemctl("daemon-reload");
  installation.say("Configuration (/etc/croft), machines and what is in the spool stay.");
}

/** The instances that start with the target. */
function installedInstances(): string[] {
  const directory = join(unitDirectory, `${target}.wants`);
  return existsSync(directory)
    ? readdirSync(directory).filter((name) => /^croft-agent@\d+\.service$/.test(name))
    : [];
}

function instanceUnit(number: number): string {
  return `croft-agent@${number}.service`;
}

/** What stands in the configuration until somebody changes it. */
export function exampleConfiguration(controllers: readonly string[]): string {
  const list =
    controllers.length > 0
      ? `controllers:\n${controllers.map((url) => `  - ${JSON.stringify(url)}\n`).join("")}`
      : `# At least one: [PRIORITY=]URL\n# controllers:\n#   - http://controller.example:8420/agent/task\n`;
  return `# Configuration of the agents of this host; the keys are the options of 'croft agent --help' without dashes.
# What is in effect, and where it comes from: croft agent --config FILE --print-config
# After a change: systemctl reload 'croft-agent@*'
${list}
# Processors and memory (KiB) of a machine
# cpu: 2
# ram: 2097152

# How many builds at a time one machine may serve; auto: as many as there are agents
# machine-copies: auto

# How many agents may be busy at a time; with it, priorities are followed
# instance-max: 0

# RSA private key that answers the controllers' challenges
# auth-key: /etc/croft/agent.pem

# A bridge of this host for the machines; their own network otherwise shows them the host's services on loopback
# network: bridge
# bridge: br1
`;
}
