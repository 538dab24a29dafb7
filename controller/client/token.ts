/** `croft token`: makes, lists and revokes tokens of people, at a controller that runs on this host. */
import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import {
  addOptions,
  givenValues,
  withDefaults,
  type OptionDeclaration,
} from "../../os/command-line/options.ts";
import { formatTable } from "../../os/text/table.ts";
import { roles, type Role } from "../authentication/tokens.ts";
import { answerMs, askControl, placeOptions } from "./control.ts";

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
    const { token } = await askControl<{ token: string }>(
      values,
      "POST",
      "/tokens",
      { name, role: values["role"] },
      answerMs,
    );
    process.stdout.write(`${token}\n`);
  });
}

function listCommand(): Command {
  const command = addOptions(makeCommand("list", "lists all tokens by name"), listTokensOptions);
  return command.action(async () => {
    const values = givenValues(command, listTokensOptions);
    const { tokens } = await askControl<{ tokens: { name: string; role: Role; createdAt: string | null }[] }>(
      values,
      "GET",
      "/tokens",
      undefined,
      answerMs,
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
    await askControl(
      givenValues(command, revokeTokenOptions),
      "DELETE",
      `/tokens/${encodeURIComponent(name)}`,
      undefined,
      answerMs,
    );
  });
}
