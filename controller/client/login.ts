/** `croft login` and `croft logout`: the token of a user at a controller, kept for the commands. */
import type { Command } from "commander";
import { askSecret } from "../../os/command-line/ask.ts";
import { makeCommand } from "../../os/command-line/command.ts";
import { Failure, UsageFailure } from "../../os/failure.ts";
import { isUnreadOnItsWay } from "../../os/network/listen-address.ts";
import type { TokenAnswer } from "../description/answers.ts";
import { connect } from "./connection.ts";
import { loginsFile, readLogins, writeLogins } from "./logins.ts";

/** `croft login`, for the table of commands. */
export function loginCommand(): Command {
  return makeCommand(
    "croft login",
    "keep a token for a controller, and ask that controller from now on; the token is asked for, or read from standard input",
  )
    .argument("<URL>", "the controller")
    .action(async (url: string) => {
      const token = await askSecret(`Token for ${url}: `);
      if (token === "") throw new UsageFailure(`log in to ${url}`, "no token is given");
      const connection = connect(url, token);
      const { name, role } = await connection.get<TokenAnswer>("/api/v1/token");
      const { tokens } = readLogins();
      const { base } = connection;
      await writeLogins({ controller: base, tokens: { ...tokens, [base]: token } });
      process.stdout.write(`logged in to ${base} as ${name}, role ${role}; kept in ${loginsFile()}\n`);
      if (!isUnreadOnItsWay(base))
        process.stderr.write(`warning: ${base} is plain http: the token can be read on its way\n`);
    });
}

/** `croft logout`, for the table of commands. */
export function logoutCommand(): Command {
  return makeCommand("croft logout", "forget the token of a controller; it stays valid until it is revoked")
    .argument("[URL]", "the controller (default: the one that was logged in to last)")
    .action(async (given?: string) => {
      const { controller, tokens } = readLogins();
      const url = given?.replace(/\/+$/, "") ?? controller;
      if (url === null || !Object.hasOwn(tokens, url))
        throw new Failure(`log out of ${url ?? "a controller"}`, "nobody is logged in there");
      const { [url]: _, ...left } = tokens;
      await writeLogins({ controller: controller === url ? null : controller, tokens: left });
      process.stdout.write(`logged out of ${url}\n`);
    });
}
