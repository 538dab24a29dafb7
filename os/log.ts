import { createRequire } from "node:module";
import { pino, type Logger } from "pino";
import { withoutSecrets } from "./network/url.ts";
import { maskCredentials } from "./text/credentials.ts";

/** A structured log; text from guests and peers goes into fields only, never into the message. */
export type Log = Logger<keyof typeof customLevels>;

/** `terminal`: readable lines; `systemd`: `<priority>` lines for the journal; `json`: raw records. */
export type LogFormat = "terminal" | "systemd" | "json";

/** Verbosity 0 to 6 (agent.md) as pino levels: 0 errors, 1 and 2 information and milestones, 3 and 4 debug, then trace. */
const verbosityLevels = ["error", "info", "milestone", "step", "output", "trace", "deep"] as const;

const customLevels = { milestone: 29, step: 25, output: 20, deep: 5 };

export interface LogOptions {
  /** 0 to 6; default 1. */
  verbosity?: number;
  format?: LogFormat;
  /** File descriptor; default 2, standard error. */
  destination?: number;
}

function levelOf(verbosity: number): (typeof verbosityLevels)[number] {
  return verbosityLevels[verbosity] ?? "deep";
}

/** Changes how much a log keeps, and each child made of it from now on. */
export function setVerbosity(log: Log, verbosity: number): void {
  log.level = levelOf(verbosity);
}

/** Makes the log of a process; written synchronously, so that the last words of a crash are there. */
export function makeLog(options: LogOptions = {}): Log {
  const level = levelOf(options.verbosity ?? 1);
  const format = options.format ?? "terminal";
  const destination = options.destination ?? 2;
  // Whoever reads logs need not get the tokens that URLs may hold.
  const serializers = { url: showUrl, controller: showUrl, reason: showText, stack: showText };
  const settings = { level, customLevels, base: null, serializers };
  if (format === "json")
    return pino(
      { ...settings, base: { pid: process.pid } },
      pino.destination({ dest: destination, sync: true }),
    );
  // Only logs for people take it, and most commands have none: it loads as much as all of croft's own of a small one.
  const pretty = createRequire(import.meta.url)("pino-pretty") as typeof import("pino-pretty");
  const lines = pretty({
    destination,
    sync: true,
    colorize: format === "terminal" && process.stderr.isTTY === true,
    customLevels: "milestone:29,step:25,output:20,deep:5",
    ignore: "pid,hostname",
    translateTime: "SYS:HH:MM:ss",
    singleLine: true,
    ...(format === "systemd" ? journalLines : {}),
  });
  return pino(settings, lines);
}

function showUrl(value: unknown): unknown {
  return typeof value === "string" ? withoutSecrets(value) : value;
}

/** Reasons are messages of programs and libraries, which repeat the URLs that they were given. */
function showText(value: unknown): unknown {
  return typeof value === "string" ? maskCredentials(value) : value;
}

/** A log that keeps nothing. */
export function silentLog(): Log {
  return pino({ level: "silent", customLevels });
}

/** sd-daemon(3) prefixes: the journal takes the priority of a line from it. */
function journalPriority(level: number): number {
  if (level >= 60) return 2;
  if (level >= 50) return 3;
  if (level >= 40) return 4;
  if (level >= customLevels.milestone) return 6;
  return 7;
}

const journalLines = {
  // The prefix must open the line, so level and time are taken out and the message carries it.
  ignore: "pid,hostname,level,time",
  messageFormat: (log: Record<string, unknown>, messageKey: string) =>
    `<${journalPriority(Number(log["level"]))}>${String(log[messageKey])}`,
};
