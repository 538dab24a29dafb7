/** A controller from its start to its end: what `croft controller` does. */
import { stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { makeLog, type Log, type LogFormat } from "../os/log.ts";
import { withDefaults, type OptionValues } from "../os/command-line/options.ts";
import { sendState } from "../os/service/systemd.ts";
import { isLoopback } from "../os/network/listen-address.ts";
import { readControllerConfiguration, type ControllerConfiguration } from "./configuration.ts";
import { startControl } from "./control.ts";
import { openController, type Controller } from "./controller.ts";
import { startEventLoop } from "./forges/event-loop.ts";
import { startStatusSender } from "./forges/status-sender.ts";
import { startMessenger } from "./messages/messenger.ts";
import { startServer } from "./server.ts";
import { readCertificate } from "./tls.ts";
import { controllerOptions } from "./controller-options.ts";

/**
 * Runs a controller until a signal asks for the end.
 *
 * @param given values of the command's options.
 * @throws {Failure}
 */
export async function runController(given: OptionValues): Promise<void> {
  const values = withDefaults(given, controllerOptions);
  const log = makeLog({
    format: values["log-format"] as LogFormat,
    verbosity: values["verbose"] as number,
  });
  const configuration = readControllerConfiguration(given);
  // What is wrong with it comes out before anything is opened.
  if (configuration.tls) readCertificate(configuration.tls);
  await warnOfPassword(given["config"], configuration, log);
  await serve(configuration, log);
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
