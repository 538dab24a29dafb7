/** `croft secret` and `croft credential`: what builds are given that nobody reads, at a controller that runs on this host. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import {
  addOptions,
  givenValues,
  type OptionDeclaration,
  type OptionValues,
} from "../../os/command-line/options.ts";
import { Failure, reasonOf, UsageFailure } from "../../os/failure.ts";
import { formatTable } from "../../os/text/table.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { answerMs, askControl, placeOptions } from "./control.ts";

const repositoryOption: OptionDeclaration = {
  name: "repository",
  kind: "string",
  value: "URL",
  commandLineOnly: true,
  prose: "for builds of the repositories below this URL only (default: for all)",
};

/** Options of `croft secret set` and `croft secret remove`. */
export const secretOptions: readonly OptionDeclaration[] = [repositoryOption, ...placeOptions];

/** Options of `croft secret list` and `croft credential list`. */
export const listSecretsOptions: readonly OptionDeclaration[] = [
  { name: "json", kind: "flag", commandLineOnly: true, prose: "print JSON" },
  ...placeOptions,
];

/** Options of `croft credential set`. */
export const credentialOptions: readonly OptionDeclaration[] = [
  {
    name: "user",
    kind: "string",
    value: "NAME",
    commandLineOnly: true,
    prose: "whom the server knows by the password or token that is read from standard input",
  },
  {
    name: "key",
    kind: "string",
    value: "FILE",
    commandLineOnly: true,
    prose: "a private key for ssh, without a passphrase; - for standard input",
  },
  {
    name: "known-hosts",
    kind: "string",
    value: "FILE",
    commandLineOnly: true,
    prose: "the server's own keys, as ssh-keyscan prints them: needed with --key",
  },
  ...placeOptions,
];

/** Options of `croft credential remove`. */
export const removeCredentialOptions = placeOptions;

/** The command, for the table of commands. */
export function secretCommand(): Command {
  const command = makeCommand("croft secret", "sets, lists and removes secrets of builds");
  command.helpCommand(false);
  const set = makeCommand("set", "reads a secret from standard input, for builds that name it");
  addOptions(set.argument("<name>", "the variable that builds have it in"), secretOptions);
  set.action(async (name: string) => {
    const values = givenValues(set, secretOptions);
    const value = fromInput();
    const { repository } = values as { repository?: string };
    await askControl(
      values,
      "POST",
      "/secrets",
      { name, value, ...withoutUndefined({ repository }) },
      answerMs,
    );
  });
  const remove = makeCommand("remove", "removes a secret");
  addOptions(remove.argument("<name>", "its name"), secretOptions);
  remove.action(async (name: string) => {
    const values = givenValues(remove, secretOptions);
    const { repository } = values as { repository?: string };
    const query = repository === undefined ? "" : `?repository=${encodeURIComponent(repository)}`;
    await askControl(values, "DELETE", `/secrets/${encodeURIComponent(name)}${query}`, undefined, answerMs);
  });
  const list = addOptions(makeCommand("list", "lists the names of all secrets"), listSecretsOptions);
  list.action(async () => {
    const values = givenValues(list, listSecretsOptions);
    interface Row {
      name: string;
      repository: string | null;
      setAt: string;
    }
    const answer = await askControl<{ secrets: Row[] }>(values, "GET", "/secrets", undefined, answerMs);
    print(
      values,
      answer,
      answer.secrets.map(({ name, repository, setAt }) => [
        name,
        repository ?? "all repositories",
        setOn(setAt),
      ]),
    );
  });
  return command.addCommand(set).addCommand(list).addCommand(remove);
}

/** The command, for the table of commands. */
export function credentialCommand(): Command {
  const command = makeCommand(
    "croft credential",
    "sets, lists and removes credentials for private repositories",
  );
  command.helpCommand(false);
  const set = makeCommand("set", "keeps a password, a token or a key, for the repositories below a URL");
  addOptions(
    set.argument("<url>", "such as https://git.example.org/team or ssh://git.example.org/team"),
    credentialOptions,
  );
  set.action(async (url: string) => {
    const values = givenValues(set, credentialOptions);
    await askControl(values, "POST", "/credentials", credentialOf(url, values), answerMs);
  });
  const remove = makeCommand("remove", "removes a credential");
  addOptions(remove.argument("<url>", "its URL"), removeCredentialOptions);
  remove.action(async (url: string) => {
    const values = givenValues(remove, removeCredentialOptions);
    await askControl(values, "DELETE", `/credentials?url=${encodeURIComponent(url)}`, undefined, answerMs);
  });
  const list = addOptions(makeCommand("list", "lists the URLs of all credentials"), listSecretsOptions);
  list.action(async () => {
    const values = givenValues(list, listSecretsOptions);
    interface Row {
      url: string;
      kind: string;
      user: string | null;
      setAt: string;
    }
    const answer = await askControl<{ credentials: Row[] }>(
      values,
      "GET",
      "/credentials",
      undefined,
      answerMs,
    );
    print(
      values,
      answer,
      answer.credentials.map(({ url, kind, user, setAt }) => [url, kind, user ?? "", setOn(setAt)]),
    );
  });
  return command.addCommand(set).addCommand(list).addCommand(remove);
}

function credentialOf(url: string, values: OptionValues): object {
  const {
    user,
    key,
    "known-hosts": hosts,
  } = values as { user?: string; key?: string; "known-hosts"?: string };
  if (key === undefined) return { url, ...withoutUndefined({ user }), password: fromInput() };
  return {
    url,
    ...withoutUndefined({ user }),
    key: key === "-" ? fromInput() : textOf(key),
    ...(hosts === undefined ? {} : { knownHosts: textOf(hosts) }),
  };
}

/** Never from the command line, which all users of a host can read; an end of line after it is not a part of it. */
function fromInput(): string {
  if (process.stdin.isTTY) process.stderr.write("The secret, then an end of line and Ctrl-D:\n");
  const text = textOf(0).replace(/\r?\n$/, "");
  if (text === "") throw new UsageFailure("read the secret", "there is nothing on standard input");
  return text;
}

function textOf(file: string | 0): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Failure(`read ${file === 0 ? "standard input" : `'${file}'`}`, reasonOf(error), {
      cause: error,
    });
  }
}

function print(values: OptionValues, answer: object, rows: string[][]): void {
  process.stdout.write(values["json"] === true ? `${JSON.stringify(answer, null, 2)}\n` : formatTable(rows));
}

function setOn(time: string): string {
  return `set ${time.slice(0, 10)}`;
}
