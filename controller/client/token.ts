/** `croft token`: makes, lists and revokes tokens of people, at a controller that runs on this host. */
import got, { HTTPError } from "got";
import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import {
  addOptions,
  givenValues,
  withDefaults,
  type OptionDeclaration,
  type OptionValues,
} from "../../os/command-line/options.ts";
import { Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import { formatTable } from "../../os/text/table.ts";
import { roles, type Role } from "../authentication/tokens.ts";
import { readControllerConfiguration } from "../configuration.ts";
import { refusalOf } from "./connection.ts";
import { controlPath } from "../files/control-path.ts";

const placeOptions: readonly OptionDeclaration[] = [
  {
    name: "data",
    kind: "string",
    value: "DIR",
    commandLineOnly: true,
    prose: "the data directory of the controller (default: that of its configuration, or ./croft-data)",
  },
  {
    name: "config",
    kind: "string",
    value: "FILE",
    commandLineOnly: true,
    prose: "the configuration of the controller",
  },
];

/** Options of `croft token create`. */
export const createTokenOptions: readonly OptionDeclaration[] = [
  {
    name: "role",
    kind: "choice",
    choices: [...roles],
    default: "submit",
    commandLineOnly: true,
    prose: "what it is for, each role with all that those before it may",
  },
  ...placeOptions,
];

/** Options of `croft token list`. */
export const listTokensOptions: readonly OptionDeclaration[] = [
  { name: "json", kind: "flag", commandLineOnly: true, prose: "print JSON" },
  ...placeOptions,
];

/** Options of `croft token revoke`. */
export const revokeTokenOptions = placeOptions;

/** The command, for the table of commands. */
export function tokenCommand(): Command {
  const command = makeCommand("croft token", "makes, lists and revokes tokens of people and programs");
  command.helpCommand(false);
  return command.addCommand(createCommand()).addCommand(listCommand()).addCommand(revokeCommand());
}

function createCommand(): Command {
  const command = makeCommand("create", "makes a token, and prints it this one time");
  addOptions(command.argument("<name>", "whose it is"), createTokenOptions);
  return command.action(async (name: string) => {
    const values = withDefaults(givenValues(command, createTokenOptions), createTokenOptions);
    const { token } = await ask<{ token: string }>(values, "POST", "/tokens", { name, role: values["role"] });
    process.stdout.write(`${token}\n`);
  });
}

function listCommand(): Command {
  const command = addOptions(makeCommand("list", "lists all tokens by name"), listTokensOptions);
  return command.action(async () => {
    const values = givenValues(command, listTokensOptions);
    const { tokens } = await ask<{ tokens: { name: string; role: Role; createdAt: string | null }[] }>(
      values,
      "GET",
      "/tokens",
    );
    if (values["json"] === true) return void process.stdout.write(`${JSON.stringify({ tokens }, null, 2)}\n`);
    const rows = tokens.map(({ name, role, createdAt }) => [
      name,
      role,
      createdAt === null ? "in the configuration" : `made ${createdAt.slice(0, 10)}`,
    ]);
    process.stdout.write(formatTable(rows));
  });
}

function revokeCommand(): Command {
  const command = makeCommand("revoke", "makes a token unknown at once, with the sessions begun with it");
  addOptions(command.argument("<name>", "whose it is"), revokeTokenOptions);
  return command.action(async (name: string) => {
    await ask(givenValues(command, revokeTokenOptions), "DELETE", `/tokens/${encodeURIComponent(name)}`);
  });
}

/** Asks the controller that holds the data directory. */
async function ask<T>(
  values: OptionValues,
  method: "GET" | "POST" | "DELETE",
  path: string,
  body?: object,
): Promise<T> {
  const { config, data: given } = values as { config?: string; data?: string };
  const { data } = readControllerConfiguration({
    ...(config === undefined ? {} : { config }),
    ...(given === undefined ? {} : { data: given }),
  });
  try {
    using socket = controlPath(data);
    return await got(`http://unix:${socket.path}:${path}`, {
      method,
      enableUnixSockets: true,
      timeout: { response: 60_000 },
      retry: { limit: 0 },
      ...(body === undefined ? {} : { json: body }),
    }).json<T>();
  } catch (error) {
    if (error instanceof HTTPError) throw refusalOf(error, `ask the controller of '${data}'`);
    const isGone = isSystemError(error, "ENOENT") || isSystemError(error, "ECONNREFUSED");
    throw new Failure(
      `reach the controller of '${data}'`,
      isGone ? "none is running there" : reasonOf(error),
      {
        cause: error,
        hints: ["Its data directory is named with --data, or by its configuration with --config."],
      },
    );
  }
}
