/** Follows builds from the command line: their logs as they grow, and how they end. */
import { setTimeout as sleep } from "node:timers/promises";
import { Backoff } from "../../os/backoff.ts";
import { Failure } from "../../os/failure.ts";
import { ConnectionFailure, type BuildAnswer, type Connection } from "./connection.ts";
import { waitingText } from "../estimate-words.ts";
import { getDetails } from "./details.ts";
import { readEvents, type ServerEvent } from "./event-reader.ts";
import { TerminalText } from "../../os/text/terminal-text.ts";

/** Exit status of a command that waited for a build that failed. */
const failedBuildStatus = 3;

const longestPauseSeconds = 10;

/** What is told of a build while it is watched. */
interface Watcher {
  attempt?(attempt: { attempt: number; agent: string; machine: string }): void;
  log?(text: string): void;
  /** The connection broke and is made again. */
  interrupted?(reason: string): void;
  /** It is queued, for a reason that was not told yet. */
  waiting?(reason: string): void;
}

/** How often a build that waits is asked for its reason. */
const waitingPollMs = 15_000;

/** Watches a build until it has ended, and tells why it waits until it does not. */
async function watchBuild(connection: Connection, id: number, watcher: Watcher): Promise<BuildAnswer> {
  const ended = new AbortController();
  const telling = tellReasons(connection, id, watcher, ended.signal);
  try {
    return await followBuild(connection, id, watcher);
  } finally {
    ended.abort();
    await telling;
  }
}

/** Tells each reason for which a build waits, as it changes, until the build is given to an agent. */
async function tellReasons(
  connection: Connection,
  id: number,
  watcher: Watcher,
  signal: AbortSignal,
): Promise<void> {
  let told: string | undefined;
  try {
    for (;;) {
      const { state, waiting, estimate } = await getDetails(connection, id);
      if (signal.aborted || state !== "queued") return;
      if (typeof waiting === "string" && waiting !== told)
        watcher.waiting?.(estimate ? waitingText(waiting, estimate) : waiting);
      told = waiting ?? told;
      await sleep(waitingPollMs, undefined, { signal });
    }
  } catch {
    // The end of the watch, or no answer: the watch itself says so.
  }
}

/** Watches a build until it has ended, however often the connection breaks. */
async function followBuild(connection: Connection, id: number, watcher: Watcher): Promise<BuildAnswer> {
  let lastId = "";
  let attempt = 0;
  const pauses = new Backoff<number>(longestPauseSeconds);
  for (;;) {
    try {
      const headers: Record<string, string> = lastId === "" ? {} : { "last-event-id": lastId };
      for await (const event of readEvents(connection.stream(`/api/v1/builds/${id}/events`, headers))) {
        pauses.succeeded(id);
        lastId = event.id || lastId;
        if (event.event === "end") return JSON.parse(event.data) as BuildAnswer;
        attempt = tell(watcher, event, attempt);
      }
      watcher.interrupted?.("the controller ended it");
    } catch (error) {
      if (!(error instanceof ConnectionFailure)) throw error;
      watcher.interrupted?.(error.message);
    }
    await sleep(pauses.failed(id) * 1000);
  }
}

function tell(watcher: Watcher, { event, data }: ServerEvent, known: number): number {
  if (event === "log") watcher.log?.((JSON.parse(data) as { text: string }).text);
  if (event !== "state") return known;
  const { attempt } = JSON.parse(data) as {
    attempt: { attempt: number; agent: string; machine: string } | null;
  };
  if (!attempt || attempt.attempt === known) return known;
  watcher.attempt?.(attempt);
  return attempt.attempt;
}

/** Prints a build's log as it grows, under a heading for each attempt; what the result says, if nothing came live. */
export async function printLog(connection: Connection, id: number): Promise<BuildAnswer> {
  const output = new LogOutput();
  const build = await watchBuild(connection, id, {
    attempt: ({ attempt, machine, agent }) => output.heading(`attempt ${attempt} on ${machine} at ${agent}`),
    log: (text) => output.write(text),
    ...notesOn(id),
  });
  if (!output.wroteLog) {
    const decoder = new TextDecoder(); // a character may be cut by the end of a piece
    for await (const piece of connection.stream(`/api/v1/builds/${id}/log`))
      output.write(decoder.decode(piece, { stream: true }));
  }
  output.heading(endingOf(build));
  return build;
}

/** Waits for a build without its log. */
export async function waitForBuild(connection: Connection, id: number): Promise<BuildAnswer> {
  const build = await watchBuild(connection, id, notesOn(id));
  process.stdout.write(`${endingOf(build)}\n`);
  return build;
}

/** The exit status for builds that were waited for: 0 if none failed. */
export function statusOf(builds: readonly BuildAnswer[]): number {
  const good = ["skip", "success", "warning"];
  const failed = builds.some(({ state, status }) => state !== "finished" || !good.includes(status ?? ""));
  return failed ? failedBuildStatus : 0;
}

/** Reads a build's number from the command line, as a number or its URL. */
export function buildId(text: string): number {
  const id = Number(/^(?:https?:\/\/.*\/builds\/)?(\d{1,9})$/.exec(text)?.[1]);
  if (!(id > 0))
    throw new Failure(`use build '${text}'`, "expected its number, as in: croft log 17", { exitStatus: 2 });
  return id;
}

function endingOf({ id, name, version, target, state, status, buildSeconds }: BuildAnswer): string {
  const time = buildSeconds === null ? "" : ` after ${Math.round(buildSeconds)} s`;
  return `build ${id}, ${name}/${version} for ${target}: ${status ?? state}${time}`;
}

/** What whoever waits is told besides the build's own output. */
function notesOn(id: number): Watcher {
  return {
    interrupted: (reason) => note(`connection lost (${reason}); connecting again`),
    waiting: (reason) => note(`build ${id} waits: ${reason}`),
  };
}

function note(text: string): void {
  process.stderr.write(`croft: ${text}\n`);
}

/** Whoever reads the output may have seen enough, as `head` has: no reason for a stack trace. */
export function endWithReader(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit();
  });
}

/** Standard output, with headings that stand at the start of a line. */
class LogOutput {
  wroteLog = false;
  #atLineStart = true;
  readonly #filter = new TerminalText(process.stdout.isTTY);

  heading(text: string): void {
    const bold = process.stdout.isTTY ? ["\x1b[0;1m", "\x1b[0m"] : ["", ""];
    process.stdout.write(`${this.#atLineStart ? "" : "\n"}${bold[0]}==> ${text}${bold[1]}\n`);
    this.#atLineStart = true;
  }

  write(text: string): void {
    const filtered = this.#filter.write(text);
    this.wroteLog = true;
    if (filtered === "") return;
    this.#atLineStart = filtered.endsWith("\n");
    process.stdout.write(filtered);
  }
}
