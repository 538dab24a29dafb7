/** `croft agent key`: adds, lists and revokes public keys of agents, at a controller that runs on this host. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { addOptions, givenValues, type OptionDeclaration } from "../../os/command-line/options.ts";
import { Failure, reasonOf } from "../../os/failure.ts";
import { formatTable } from "../../os/text/table.ts";
import { placeOptions } from "../client/place-options.ts";

interface KeyAnswer {
  name: string;
  fingerprint: string;
  createdAt: string | null;
}

/** Options of `croft agent key list`. */
const listOptions: readonly OptionDeclaration[] = [
  { name: "json", kind: "flag", commandLineOnly: true, prose: "print JSON" },
  ...placeOptions,
];

/** An agent that starts needs none of it. */
const loadControl = () => import("../client/control.ts");

/** The command, a part of `croft agent`, though it is the controller that is asked. */
export function agentKeyCommand(): Command {
  const command = makeCommand("key", "adds, lists and revokes keys of agents at a controller of this host");
  command.helpCommand(false);
  return command.addCommand(addCommand()).addCommand(listCommand()).addCommand(revokeCommand());
}

function addCommand(): Command {
  const command = makeCommand(
    "add",
    "makes the key of an agent known; with the first one, all agents need one",
  );
  command.argument("<name>", "whose it is").argument("<file>", "its public key in PEM; - for standard input");
  addOptions(command, placeOptions);
  return command.action(async (name: string, file: string) => {
    const values = givenValues(command, placeOptions);
    const { answerMs, askControl } = await loadControl();
    const body = { name, pem: textOf(file) };
    const { fingerprint } = await askControl<KeyAnswer>(values, "POST", "/agent-keys", body, answerMs);
    process.stdout.write(`${name}: ${fingerprint}\n`);
  });
}

function textOf(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new Failure(`read the key '${file}'`, reasonOf(error), { cause: error });
  }
}

function listCommand(): Command {
  const command = addOptions(makeCommand("list", "lists all keys by name"), listOptions);
  return command.action(async () => {
    const values = givenValues(command, listOptions);
    const { answerMs, askControl } = await loadControl();
    const answer = await askControl<{ keys: KeyAnswer[] }>(values, "GET", "/agent-keys", undefined, answerMs);
    if (values["json"] === true) return void process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
    const rows = answer.keys.map(({ name, fingerprint, createdAt }) => [
      name,
      fingerprint,
      createdAt === null ? "in the directory" : `added ${createdAt.slice(0, 10)}`,
    ]);
    process.stdout.write(formatTable(rows));
  });
}

function revokeCommand(): Command {
  const command = makeCommand(
    "revoke",
    "makes a key unknown at once; what its agents build is given to others",
  );
  addOptions(command.argument("<name>", "whose it is"), placeOptions);
  return command.action(async (name: string) => {
    const values = givenValues(command, placeOptions);
    const { answerMs, askControl } = await loadControl();
    await askControl(values, "DELETE", `/agent-keys/${encodeURIComponent(name)}`, undefined, answerMs);
  });
}
