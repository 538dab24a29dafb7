/** `croft manifest`: looks at manifests and makes them, for people and for conformance tests of the format. */
import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Command, Option } from "commander";
import { makeCommand } from "../os/command-line/command.ts";
import { Failure, isSystemError, reasonOf } from "../os/failure.ts";
import { parseBootstrap } from "../manifests/bootstrap.ts";
import { parseBootstrappedMachine } from "../manifests/bootstrapped-machine.ts";
import { ManifestError, ManifestWriteError } from "../manifests/error.ts";
import { parseMachine, parseMachineHeader } from "../manifests/machine.ts";
import type { ParseOptions } from "../manifests/parse-options.ts";
import { parseResult } from "../manifests/result.ts";
import { parseResultRequest } from "../manifests/result-request.ts";
import { parseTask } from "../manifests/task.ts";
import { parseTaskRequest } from "../manifests/task-request.ts";
import { parseTaskResponse } from "../manifests/task-response.ts";
import { readPairs } from "../manifests/text/fast-reader.ts";
import type { Pair } from "../manifests/text/reader.ts";
import { ManifestWriter } from "../manifests/text/writer.ts";

/** What `--type` may say. */
const parsers: Record<string, (bytes: Uint8Array, options: ParseOptions) => unknown> = {
  machine: parseMachine,
  "machine-header": parseMachineHeader,
  bootstrap: parseBootstrap,
  "bootstrapped-machine": parseBootstrappedMachine,
  task: parseTask,
  "task-request": parseTaskRequest,
  "task-response": parseTaskResponse,
  result: parseResult,
  "result-request": parseResultRequest,
};

const fileArgument = ["<file>", "the file; '-' for standard input"] as const;

/** The command with its subcommands. */
export function manifestCommand(): Command {
  const manifest = makeCommand("croft manifest", "look at manifests, and make them").usage(
    "COMMAND [OPTIONS]",
  );
  manifest.helpCommand(false);
  manifest.addCommand(
    makeCommand("tokens", "print the pairs of a stream of manifests, or its error, as a line of JSON")
      .argument(...fileArgument)
      .action(printTokens),
  );
  manifest.addCommand(
    makeCommand("serialize", "print the manifests for a JSON array of [name, value] pairs")
      .argument(...fileArgument)
      .option("--long-lines", "break no lines")
      .option("--comments", "a pair named '#' is a comment")
      .option("--base64", "names and values are base64 of their bytes")
      .action(serialize),
  );
  manifest.addCommand(
    makeCommand("check", "say what is wrong with a manifest, and where")
      .argument(...fileArgument)
      .addOption(
        new Option("--type <type>", "what it should be").choices(Object.keys(parsers)).makeOptionMandatory(),
      )
      .option("--lenient", "accept unknown names, as is done with what comes over the network")
      .action(check),
  );
  return manifest;
}

async function printTokens(file: string): Promise<void> {
  const bytes = await readInput(file);
  try {
    await print(tokensAsJson(readPairs(bytes)));
  } catch (error) {
    if (isSystemError(error, "ERR_STRING_TOO_LONG"))
      throw new Failure(`read ${nameOf(file)}`, "one of its values is too long", { cause: error });
    if (!(error instanceof ManifestError)) throw error;
    const { line, column, reason } = error;
    await print([`${JSON.stringify({ ok: false, line, column, error: reason })}\n`]);
    process.exitCode = 1;
  }
}

interface SerializeOptions {
  longLines?: boolean;
  comments?: boolean;
  base64?: boolean;
}

async function serialize(file: string, options: SerializeOptions): Promise<void> {
  const pairs = pairsFromJson(file, await readInput(file));
  const writer = new ManifestWriter({ longLines: options.longLines ?? false });
  const decode = (text: string) => (options.base64 ? Buffer.from(text, "base64") : text);
  for (const [index, [name, value]] of pairs.entries()) {
    try {
      if (options.comments && name === "#") writer.comment(decode(value));
      else writer.pair(decode(name), decode(value));
    } catch (error) {
      if (!(error instanceof ManifestWriteError)) throw error;
      throw new Failure(`serialize ${nameOf(file)}`, `pair ${index + 1}: ${error.reason}`, { cause: error });
    }
  }
  await print([writer.take()]);
}

async function check(file: string, options: { type: string; lenient?: boolean }): Promise<void> {
  const bytes = await readInput(file);
  try {
    parsers[options.type]!(bytes, {
      source: file === "-" ? "<stdin>" : file,
      lenient: options.lenient ?? false,
    });
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

async function readInput(file: string): Promise<Buffer> {
  try {
    if (file !== "-") return await readFile(file);
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  } catch (error) {
    throw new Failure(`read ${nameOf(file)}`, reasonOf(error), { cause: error });
  }
}

function nameOf(file: string): string {
  return file === "-" ? "standard input" : `'${file}'`;
}

/** Writes to standard output at the reader's pace; a reader that has seen enough is no error. */
async function print(chunks: Iterable<string | Uint8Array>): Promise<void> {
  try {
    await pipeline(Readable.from(chunks, { objectMode: true }), process.stdout, { end: false });
  } catch (error) {
    if (!isSystemError(error, "EPIPE"))
      throw new Failure("write to standard output", reasonOf(error), { cause: error });
  }
}

const outputBlockCharacters = 64 * 1024;

/** A line of JSON in pieces of moderate size, whatever the size of the values. */
function* tokensAsJson(pairs: readonly Pair[]): Generator<string> {
  let block = '{"ok":true,"pairs":[';
  let separator = "";
  for (const { name, value } of pairs) {
    block += `${separator}[`;
    separator = ",";
    for (const part of stringAsJson(name)) block += part;
    block += ",";
    for (const part of stringAsJson(value)) {
      block += part;
      if (block.length < outputBlockCharacters) continue;
      yield block;
      block = "";
    }
    block += "]";
  }
  yield `${block}]}\n`;
}

function* stringAsJson(text: string): Generator<string> {
  if (text.length <= outputBlockCharacters) {
    yield JSON.stringify(text);
    return;
  }
  yield '"';
  for (let start = 0; start < text.length;) {
    let end = Math.min(start + outputBlockCharacters, text.length);
    if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end--; // keep the pair together
    yield JSON.stringify(text.slice(start, end)).slice(1, -1);
    start = end;
  }
  yield '"';
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

/** Takes an array of pairs, or what `tokens` prints. */
function pairsFromJson(file: string, bytes: Buffer): [name: string, value: string][] {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new Failure(`serialize ${nameOf(file)}`, `it is no JSON: ${reasonOf(error)}`, { cause: error });
  }
  const pairs: unknown = Array.isArray(json) ? json : (json as { pairs?: unknown } | null)?.pairs;
  if (!Array.isArray(pairs))
    throw new Failure(`serialize ${nameOf(file)}`, "it is no JSON array of [name, value] pairs");
  for (const [index, pair] of pairs.entries()) {
    if (!Array.isArray(pair) || pair.length !== 2 || pair.some((part) => typeof part !== "string"))
      throw new Failure(`serialize ${nameOf(file)}`, `pair ${index + 1} is not an array of two strings`);
  }
  return pairs as [string, string][];
}
