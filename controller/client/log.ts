/** `croft log`: a build's log, whole, in part, or as it grows. */
import { once } from "node:events";
import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { givenValues, type OptionDeclaration, type OptionValues } from "../../os/command-line/options.ts";
import { UsageFailure } from "../../os/failure.ts";
import { LineSplitter, type Line } from "../../os/text/lines.ts";
import { printable, TerminalText } from "../../os/text/terminal-text.ts";
import { addClientOptions, connectionOf } from "./connection.ts";
import { buildId, endWithReader, printLog, statusOf } from "./watch.ts";

/** The options of `croft log`. */
export const logOptions: readonly OptionDeclaration[] = [
  { name: "follow", kind: "flag", prose: "print the log as it grows; exit status 3 if the build fails" },
  { name: "operation", kind: "string", value: "NAME", prose: "only the log of this operation" },
  {
    name: "attempt",
    kind: "integer",
    value: "N",
    minimum: 1,
    prose: "that of this attempt (default: the last)",
  },
  {
    name: "search",
    kind: "string",
    value: "TEXT",
    prose: "only lines with this text, after their numbers; exit status 1 if there is none",
  },
];

/** The command, for the table of commands. */
export function logCommand(): Command {
  const command = makeCommand("croft log", "print a build's log").argument(
    "<ID>",
    "number or URL of the build",
  );
  return addClientOptions(command, logOptions).action(async (text: string) => {
    const id = buildId(text);
    const connection = connectionOf(command);
    const { follow, search, ...part } = givenValues(command, logOptions);
    endWithReader();
    if (follow) {
      if (search !== undefined || Object.keys(part).length > 0)
        throw new UsageFailure("follow a part of a log", "--follow prints all of it, as it comes");
      await connection.get(`/api/v1/builds/${id}`); // whoever follows waits for a controller; one that never answered is an error
      process.exitCode = statusOf([await printLog(connection, id)]);
      return;
    }
    const pieces = connection.stream(`/api/v1/builds/${id}/log${queryOf(part)}`);
    if (search === undefined) await print(pieces);
    else if ((await printMatches(pieces, String(search))) === 0) process.exitCode = 1;
  });
}

function queryOf(values: OptionValues): string {
  const query = new URLSearchParams(
    Object.entries(values).map(([name, value]): [string, string] => [name, String(value)]),
  );
  return query.size === 0 ? "" : `?${query}`;
}

async function print(pieces: AsyncIterable<Buffer>): Promise<void> {
  const filter = new TerminalText(process.stdout.isTTY);
  const decoder = new TextDecoder();
  for await (const piece of pieces)
    // A file gets the bytes as they are.
    await write(process.stdout.isTTY ? filter.write(decoder.decode(piece, { stream: true })) : piece);
}

/** Prints the lines with a text as `NUMBER:LINE`. @returns how many there are. */
async function printMatches(pieces: AsyncIterable<Buffer>, text: string): Promise<number> {
  let number = 0;
  let found = 0;
  const look = async (lines: Iterable<Line>) => {
    for (const { text: line } of lines) {
      number++;
      // Colours stand between the letters of what a person sees.
      const seen = line.replace(/\u001b\[[0-9;]*m/g, "");
      if (!seen.includes(text)) continue;
      found++;
      await write(`${number}:${printable(seen)}\n`);
    }
  };
  const splitter = new LineSplitter();
  for await (const piece of pieces) await look(splitter.push(piece));
  await look(splitter.end());
  return found;
}

/** A slow reader is waited for. */
async function write(output: string | Uint8Array): Promise<void> {
  if (!process.stdout.write(output)) await once(process.stdout, "drain");
}
