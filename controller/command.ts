/** `croft controller`. */
import { stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { makeCommand } from "../os/command-line/command.ts";
import { makeLog, type Log, type LogFormat } from "../os/log.ts";
import { addOptions, givenValues, withDefaults, type OptionDeclaration } from "../os/command-line/options.ts";
import { sendState } from "../os/service/systemd.ts";
import { isLoopback } from "../os/network/listen-address.ts";
import { readControllerConfiguration, type ControllerConfiguration } from "./configuration.ts";
import { installCommand } from "./install.ts";
import { startControl } from "./control.ts";
import { openController, type Controller } from "./controller.ts";
import { backupCommand } from "./client/upkeep/backup.ts";
import { migrateCommand } from "./client/upkeep/migrate.ts";
import { pruneCommand } from "./client/upkeep/prune.ts";
import { restoreCommand } from "./client/upkeep/restore.ts";
import { startEventLoop } from "./forges/event-loop.ts";
import { startStatusSender } from "./forges/status-sender.ts";
import { startMessenger } from "./messages/messenger.ts";
import { startServer } from "./server.ts";

/** The options of `croft controller`. */
export const controllerOptions: readonly OptionDeclaration[] = [
  { name: "config", kind: "string", value: "FILE", prose: "read the configuration from this YAML file" },
  {
    name: "listen",
    kind: "string",
    value: "ADDRESS:PORT",
    prose: "listen here; port 0: any free one (default: 127.0.0.1:8420)",
  },
  {
    name: "data",
    kind: "string",
    value: "DIR",
    prose: "keep database, logs and artifacts here (default: ./croft-data)",
  },
  {
    name: "public-url",
    kind: "string",
    value: "URL",
    prose: "where agents and people reach this controller (default: where it listens)",
  },
  {
    name: "log-format",
    kind: "choice",
    choices: ["terminal", "systemd", "json"],
    default: "terminal",
    prose: "how to log",
  },
  {
    name: "verbose",
    kind: "integer",
    value: "0..6",
    minimum: 0,
    maximum: 6,
    default: 1,
    prose: "how much to log",
  },
];

/** The command, for the table of commands. */
export function controllerCommand(): Command {
  const command = makeCommand("croft controller", "give agents their tasks and people their results");
  // Options after the name of a subcommand are its own.
  command
    .enablePositionalOptions()
    .helpCommand(false)
    .addCommand(installCommand())
    .addCommand(pruneCommand())
    .addCommand(backupCommand())
    .addCommand(restoreCommand())
    .addCommand(migrateCommand());
  return addOptions(command, controllerOptions).action(async () => {
    const given = givenValues(command, controllerOptions);
    const values = withDefaults(given, controllerOptions);
    const log = makeLog({
      format: values["log-format"] as LogFormat,
      verbosity: values["verbose"] as number,
    });
    const configuration = readControllerConfiguration(given);
    await warnOfPassword(given["config"], configuration, log);
    await serve(configuration, log);
  });
}

/** Runs until a signal asks for the end. */
async function serve(configuration: ControllerConfiguration, log: Log): Promise<void> {
  process.umask(0o077);
  const asked = new Promise<string>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => resolve(signal));
  });
  await using controller = await openController(configuration, log);
  await using server = await startServer(controller);
  await using _statuses = startStatusSender(controller, server.url);
  await using _events = startEventLoop(controller);
  await using _messages = startMessenger(controller, server.url);
  await using _control = await startControl(controller);
  await warnIfOpen(controller);
  process.stdout.write(`croft controller: ${server.url}/\n`);
  await sendState(`READY=1\nSTATUS=listening: ${server.url}/`);
  log.info({ signal: await asked }, "stopping");
  await drain(controller, log);
}

/** Says for a while that this controller is going to end: balancers send who comes then to others. */
async function drain({ readiness, configuration: { drainSeconds } }: Controller, log: Log): Promise<void> {
  if (drainSeconds === 0) return;
  readiness.isEnding = true;
  log.info({ seconds: drainSeconds }, "saying so before");
  await sendState("STOPPING=1");
  await sleep(drainSeconds * 1000);
}

/** Tokens stand in a configuration as digests, but the password of a database is there to be read. */
async function warnOfPassword(
  file: unknown,
  { database, storage }: ControllerConfiguration,
  log: Log,
): Promise<void> {
  const secrets = [
    URL.parse(database)?.password ? "the password of the database" : "",
    storage !== "directory" && storage.secretKey !== undefined ? "the key of the storage" : "",
  ].filter((secret) => secret !== "");
  if (typeof file !== "string" || secrets.length === 0) return;
  if (((await stat(file)).mode & 0o004) !== 0)
    log.warn({ file }, `every user of this host may read ${secrets.join(" and ")} in the configuration`);
}

async function warnIfOpen({ configuration, tokens, agentKeys, log }: Controller): Promise<void> {
  const { listen } = configuration;
  const hasTokens = await tokens.any();
  if (configuration.private && !hasTokens)
    log.warn({}, "nobody can read what this controller has: there is no token yet (croft token create)");
  if (isLoopback(listen.host)) return;
  if (!agentKeys.isRequired)
    log.warn({}, "any agent that reaches this address is served: there is no key (croft agent key add)");
  if (!hasTokens)
    log.warn({}, "anyone who reaches this address may submit builds: there is no token (croft token create)");
}
