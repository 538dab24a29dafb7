// What the preparation runs and shows: nothing for what is quick, the elapsed time for what is not.
import { spawn } from "node:child_process";
import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Nothing is shown before this long without any other output, in milliseconds. */
const quiet = 2000;

/**
 * Shows what is being done now, and for how long already: on a terminal in a line that is written over, elsewhere
 * in a line now and then.
 *
 * @param {string} title
 * @param {{ stream?: { isTTY?: boolean, write(text: string): unknown }, every?: number }} [options] `every`: seconds
 * between the lines on a stream that is no terminal
 */
export function progress(title, { stream = process.stderr, every = 15 } = {}) {
  const terminal = stream.isTTY === true;
  const began = Date.now();
  let silentSince = began;
  let shown = 0;
  let onLine = false;
  const seconds = () => Math.round((Date.now() - began) / 1000);
  const clear = () => {
    if (onLine) stream.write("\r\x1b[K");
    onLine = false;
  };
  const timer = setInterval(() => {
    if (Date.now() - silentSince < quiet) return;
    if (terminal) {
      const line = `${title} … ${seconds()} s`.slice(0, (process.stderr.columns ?? 80) - 1);
      stream.write(`\r\x1b[K${line}`);
      onLine = true;
    } else if (shown === 0 || Date.now() - shown >= every * 1000) {
      stream.write(`${title} … ${seconds()} s\n`);
      shown = Date.now();
    }
  }, 250);
  return {
    seconds,
    /** Another part of it is being done from now on. @param {string} text */
    now(text) {
      title = text;
    },
    /** Other output follows: it clears the line and starts the silence anew. */
    giveWay() {
      clear();
      silentSince = shown = Date.now();
    },
    end() {
      clear();
      clearInterval(timer);
    },
  };
}

/**
 * Runs an action with its {@link progress} shown; one that took long is told to be done.
 *
 * @template T
 * @param {string} title
 * @param {(show: ReturnType<typeof progress>) => Promise<T>} action
 * @param {Parameters<typeof progress>[1]} [options]
 * @returns {Promise<T>}
 */
export async function showing(title, action, options = {}) {
  const began = Date.now();
  const show = progress(title, options);
  try {
    const result = await action(show);
    show.end();
    const took = Date.now() - began;
    if (took >= quiet)
      (options.stream ?? process.stderr).write(`${title}: done in ${Math.round(took / 1000)} s\n`);
    return result;
  } finally {
    show.end();
  }
}

/**
 * Runs a program to its end with its output in a log file.
 *
 * @param {string[]} argv
 * @param {{ log: string, env?: NodeJS.ProcessEnv, cwd?: string, keep?: number[] }} options `keep`: descriptors,
 * such as locks, that the program keeps open
 * @throws {Error} with the end of the output if the exit status is not 0.
 */
export async function runLogged([program, ...args], { log, env = process.env, cwd, keep = [] }) {
  mkdirSync(dirname(log), { recursive: true });
  appendFileSync(log, `\n$ ${program} ${args.join(" ")}\n`);
  const from = readFileSync(log).length;
  const out = openSync(log, "a");
  // A group of its own: a terminal's Ctrl-C must not tear a package manager from under its own clean-up.
  const child = spawn(program, args, { cwd, env, detached: true, stdio: ["ignore", out, out, ...keep] });
  closeSync(out);
  const stop = (signal) => {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGTERM");
    process.exitCode = signal === "SIGINT" ? 130 : 143;
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, stop);
  try {
    const [status, by] = await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (...end) => resolve(end));
    });
    if (status === 0) return;
    const tail = readFileSync(log).subarray(from).toString().trimEnd().split("\n").slice(-30).join("\n  ");
    throw new Error(
      `'${[program, ...args].join(" ")}' ended with ${by ?? `status ${status}`}:\n  ${tail}\nAll of it: ${log}`,
    );
  } finally {
    for (const signal of signals) process.off(signal, stop);
  }
}

/** Starts the log of one preparation anew. @param {string} log */
export function startLog(log) {
  mkdirSync(dirname(log), { recursive: true });
  writeFileSync(log, "");
}
