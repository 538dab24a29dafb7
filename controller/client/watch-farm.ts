/** `croft watch`: the farm in a terminal, as it changes. */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { Failure, UsageFailure } from "../../os/failure.ts";
import { printable } from "../../os/text/terminal-text.ts";
import { buildTable } from "./builds.ts";
import {
  addClientOptions,
  ConnectionFailure,
  connectionOf,
  type BuildAnswer,
  type Connection,
} from "./connection.ts";
import { readEvents } from "./event-reader.ts";
import { getFarm, statusText } from "./fleet.ts";

/** Between two pictures, however much happens. */
const shortestMs = 1000;
/** Agents that come and go are no events, and times go on. */
const longestMs = 5000;

const enter = "\x1b[?1049h\x1b[?25l";
const leave = "\x1b[?25h\x1b[?1049l";

/** The command, for the table of commands. */
export function watchCommand(): Command {
  const command = makeCommand(
    "croft watch",
    "show the farm in the terminal as it changes: agents, targets, the newest builds; q ends it",
  );
  return addClientOptions(command, []).action(async () => {
    const { stdin, stdout } = process;
    if (stdout.isTTY !== true || stdin.isTTY !== true)
      throw new UsageFailure("watch the farm", "this is no terminal", { hints: ["See: croft status"] });
    const connection = connectionOf(command);
    await getFarm(connection); // what is wrong with the controller is said where it stays
    const ended = new AbortController();
    const onKey = (keys: Buffer) => {
      if (/[qQ\x03\x04\x1b]/.test(keys.toString("latin1"))) ended.abort();
    };
    for (const signal of ["SIGTERM", "SIGHUP"] as const) process.once(signal, () => ended.abort());
    stdin.setRawMode(true).on("data", onKey).resume();
    stdout.write(enter);
    try {
      await show(connection, ended.signal);
    } finally {
      stdout.write(leave);
      stdin.off("data", onKey).setRawMode(false).pause();
    }
    // A stream of events may be open still
    process.exit();
  });
}

/** Draws until somebody has seen enough. */
async function show(connection: Connection, signal: AbortSignal): Promise<void> {
  let hint = Promise.withResolvers<void>();
  const changed = () => hint.resolve();
  process.stdout.on("resize", changed);
  void followChanges(connection, changed, signal);
  while (!signal.aborted) {
    hint = Promise.withResolvers<void>();
    process.stdout.write(picture(await contentOf(connection), process.stdout));
    await Promise.race([sleep(shortestMs), aborted(signal)]);
    await Promise.race([sleep(longestMs - shortestMs), hint.promise, aborted(signal)]);
  }
  process.stdout.off("resize", changed);
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}

async function contentOf(connection: Connection): Promise<string> {
  try {
    const { agents, targets } = await getFarm(connection);
    const { builds } = await connection.get<{ builds: BuildAnswer[] }>("/api/v1/builds?limit=50");
    return `${connection.base}\n\n${statusText(agents, targets)}\n${buildTable(builds)}`;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return `${error.message}; trying again\n`;
  }
}

/** Says each change of a build; a stream that breaks is opened again, and whoever may not follow looks every few seconds. */
async function followChanges(
  connection: Connection,
  changed: () => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const _ of readEvents(connection.stream("/api/v1/events"))) changed();
    } catch (error) {
      if (!(error instanceof ConnectionFailure)) return;
    }
    await sleep(longestMs);
  }
}

/** What the terminal has room for, drawn over what was there. */
export function picture(content: string, { columns, rows }: { columns: number; rows: number }): string {
  const lines = content.trimEnd().split("\n").slice(0, rows);
  const drawn = lines.map((line) => `${[...printable(line)].slice(0, columns).join("")}\x1b[K`);
  return `\x1b[H${drawn.join("\r\n")}\x1b[J`;
}
